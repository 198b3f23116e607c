"""Is that bad? From readings and rules to verdicts; pure.

Knows limits, hysteresis and how long a breach has lasted. Does not know migrations, orders or where a reading
came from.
"""
