"""Wait for a condition with a deadline, never for a fixed time.

This file does not know what is waited for.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T],
    *,
    within: float = 10.0,
    message: str | Callable[[], str] = "",
    every: float = 0.02,
    ignoring: tuple[type[Exception], ...] = (),
) -> T:
    """Ask *condition* again and again until its answer is true, and return that answer.

    *within* and *every* are seconds. *message* says what was waited for; as a function it is called
    only at the end, so that it can tell the last state. Exceptions named in *ignoring* count as "not yet";
    any other passes through at once.

    Raises TimeoutError after *within* seconds; the last ignored exception is its cause.
    """
    deadline = time.monotonic() + within
    last: Exception | None = None
    while True:
        try:
            answer = condition()
        except ignoring as error:
            last = error
        else:
            if answer:
                return answer
        if time.monotonic() >= deadline:
            what = message() if callable(message) else message
            raise TimeoutError(f"not within {within:g} s: {what or 'the condition'}") from last
        time.sleep(every)
