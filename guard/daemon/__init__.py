"""The daemon's lifecycle: start, poll, reload, stop.

service.py   serve(): signals, the scheduler that drives the probes, reload, stop
logs.py      log lines that cannot stop the daemon
systemd.py   what systemd is told
"""

from guard.daemon.service import serve

__all__ = ["serve"]
