"""The embedded servers and the demonstration; the tests run on the same servers.

binaries.py  where PostgreSQL's programs are        account.py  as whom they run, and where
server.py    one PostgreSQL server                  embedded.py a primary with its standbys
reaper.py    nothing is left behind                 proxy.py    a line that can freeze, break and heal
waiting.py   wait for a condition with a deadline

The demonstration (``python -m guard demo``):
run.py       from nothing to the closing table    world.py    servers, roles, files, processes
scenario.py  the three faults                     evidence.py what is left of a run to judge it by
verdict.py   each figure, and what it must be     view.py     what a person sees meanwhile
application.py the shop, a process   backfill.py and alter.py  two migrations, processes   slack.py in Slack's place
child.py     processes that never outlive us          diary.py    their own log
"""
