"""The flight recorder on local disk: what the guard knew, decided and has still to tell, across a kill.

It decides nothing and sends nothing. It is a second memory beside the events in the guarded database, and the only
one while that database cannot be reached. The tape beside it keeps what each step judged and decided on.
"""

from guard.journal.ledger import Ledger
from guard.journal.recorder import DatabaseJournal, Journal
from guard.journal.tape import Reader, Recorded, Recorder
from guard.journal.threads import Threads
from guard.journal.waiting import Backlog, Entry

__all__ = ["Backlog", "DatabaseJournal", "Entry", "Journal", "Ledger", "Reader", "Recorded", "Recorder", "Threads"]
