"""How fast and how light the guard is, measured on a real primary and standby with the real daemon as a process."""
