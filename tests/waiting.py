"""The one way in which tests wait: a condition and a deadline."""

from guard.demo.waiting import wait_for

__all__ = ["wait_for"]
