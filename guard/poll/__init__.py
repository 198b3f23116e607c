"""What is the world like? Each probe looks at one part of it and brings home readings, or silences with a reason.

A probe knows no rule and no limit. It never raises for what the world does.
"""
