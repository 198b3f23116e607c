"""Lets people look: the status page, and what machines ask for. Nothing can be changed by it.

sight.py     what can be seen of the daemon, as values
page.py      the page for as long as the daemon lives     serving.py   sockets, limits, patience
app.py       the addresses, and what each asks for        gate.py      who may look
overview.py  the first page      runpage.py  one run, and coursepage.py its course
layout.py    the frame of every page
elements.py  pieces of pages     words.py    states in words, signs and tones
stream.py    what has changed, as server-sent events
aside.py     a thread for what takes long                 fresh.py     what it made last stands while it makes the next
past.py      the runs of late, as the flight recorder has them
timeline.py  one run as it went, as values; tracing.py makes it out of the flight recorder, thinning.py keeps it short
svg.py       drawings of it, in the frame of frame.py, on the axes of axes.py, in the colours of palette.py
probing/     /metrics, /healthz, /check/NAME
figures.py   drawings as figures of a page
record_html.py  the record of a run as one file, in the style of record_style.py; record_markdown.py  the same as text
"""
