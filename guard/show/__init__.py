"""Lets people look: the status page, and what machines ask for. Nothing can be changed by it.

sight.py     what can be seen of the daemon, as values
timeline.py  one run as it went, as values; tracing.py makes it out of the flight recorder, thinning.py keeps it short
svg.py       drawings of it, in the frame of frame.py, on the axes of axes.py, in the colours of palette.py
"""
