"""The embedded servers and the demonstration; the tests run on the same servers.

binaries.py  where PostgreSQL's programs are        account.py  as whom they run, and where
server.py    one PostgreSQL server                  embedded.py a primary with its standbys
reaper.py    nothing is left behind                 proxy.py    a line that can freeze, break and heal
waiting.py   wait for a condition with a deadline
"""
