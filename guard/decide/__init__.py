"""decide: "what follows?" Pure: a state, a finding and the time go in; the next state, acts and notices come out.

machine.py   the phase table, and the order that each phase gives
ladder.py    whether a rollback may fire, when a cancelled migration has come back once too often
checks.py    what the checks of the data ask for
accounting.py what befell a run, from phase to phase
decision.py  one step of one run: state and finding to decision
notices.py   whom to tell what, and why; draft.py, deeds.py and ourselves.py are parts of it
"""
