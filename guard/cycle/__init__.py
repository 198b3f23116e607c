"""The cycle: poll -> judge -> decide -> act -> tell, once for each database and each time something was heard.

step.py      class Guard: one short function from readings to acts
board.py     the newest samples and who is here; what the rules make of them
chores.py    acts that take their time: clearing a queue, rolling a run back
operators.py what humans ordered, as news
values.py    what crosses between the cycle and its caller
words.py     the report that `status` and `explain` read

It does no I/O of its own: it awaits the protocols of guard.ports and is told the time.
"""

from guard.cycle.step import Guard
from guard.cycle.values import Chore, Options, Step

__all__ = ["Chore", "Guard", "Options", "Step"]
