"""The daemon's lifecycle: start, poll, reload, stop.

service.py   serve(): signals, the scheduler that drives the probes, reload, stop
systemd.py   what systemd is told
"""

from guard.daemon.service import serve

__all__ = ["serve"]
