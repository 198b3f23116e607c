"""Watches a PostgreSQL migration, pauses it while it harms, and tells people why.

The flow: **poll -> judge -> decide -> act -> tell**, one trip for each reading (``cycle/``).

poll/      what is the world like?     judge/    is that bad?       decide/   what follows?
act/       do it                       tell/     say it             show/     let people look
client/    what a migration imports    sql/      what a DBA reviews cli/      the command line
demo/      a primary, a standby and the demonstration
cycle/     the trip                    daemon.py its life           wiring.py settings -> ready guards
settings/  the file                    journal/  flight recorder    postgres.py  the door to PostgreSQL
model.py   nouns                       ports.py  protocols          records.py   nouns as JSON
errors.py  the tree of errors

Nothing is imported here, so that ``guard.client`` stays light.
"""
