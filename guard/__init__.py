"""Watches a PostgreSQL migration, pauses it while it harms, and tells people why.

The flow: **poll -> judge -> decide -> act -> tell**, one trip for each reading (``cycle/``).

poll/      what is the world like?     judge/    is that bad?       decide/   what follows?
act/       do it                       tell/     say it             cycle/    the trip
client/    what a migration imports    sql/      what a DBA reviews cli/      the command line
settings/  the file                    wiring.py settings -> guards watch.py  one guard at work
daemon/    start, reload, stop         journal/  flight recorder    postgres/ the door to PostgreSQL
check/     what is wrong here          demo/     a primary, a standby and the demonstration
exec/      tools that do not listen    show/     the status page, and what machines ask for
model/     nouns                       ports.py  protocols          records.py   nouns as JSON
tally.py   counts, for /metrics
errors.py  the tree of errors          exits.py  exit codes         rollbacks.py the hooks
sources.py the probes of applications, with their credentials    standbys.py the one of replication, likewise
channels.py the messengers, likewise                             pictures.py  of runs, for Slack

Nothing is imported here, so that ``guard.client`` stays light.
"""
