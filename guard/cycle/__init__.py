"""The cycle: poll -> judge -> decide -> act -> tell, once for each database and each time something was heard.

step.py      class Guard: one short function from readings to acts
board.py     the newest samples and who is here; what the rules make of them
runs.py      the runs under guard: met, taken up again, let go
lasting.py   what outlasts a restart and a wall clock that is set
ledger.py    events and notices that wait to be written
publisher.py orders and beat in one write
adopting.py  a decision made the guard's own: state, events, notices
observing.py what a guard that only observes makes of it; turning.py: when the mode is changed
acting.py    what a decision has the guard do, and what came of it
chores.py    acts that take their time: clearing a queue, rolling a run back
verifying.py the checks of the data, before and after a run; inquests.py asks them
rereading.py the reason of a rollback, read again before it begins
interrupted.py cancels that a killed guard may have made
details.py   what stands in a message beside its reason; digest.py: what is told at the end of a run
courses.py   how the signals of each run go, for these
reminders.py what lasts too long, told again
flapping.py  what comes and goes, so that people are told a few times only
trouble.py   whether orders can be given at all, as news
obedience.py whether who is told to pause does; disobeyed.py and stopping.py tell of those that do not
operators.py what humans ordered, as news
starving.py  a paced migration that others keep from its turn, as news
values.py    what crosses between the cycle and its caller
tape.py      what the flight recorder is given; frames.py its JSON
replaying.py what a guard with other options would have decided on it
words.py     the report that `status` and `explain` read

It does no I/O of its own: it awaits the protocols of guard.ports and is told the time.
"""

from guard.cycle.step import Guard
from guard.cycle.values import Chore, Options, Step

__all__ = ["Chore", "Guard", "Options", "Step"]
