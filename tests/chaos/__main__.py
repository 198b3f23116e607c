"""./dev chaos: faults at random moments, or a hundred kills, with an oracle that looks on.

    python -m tests.chaos [--minutes 30] [--seed N] [--every 20s] [--only WORDS]
    python -m tests.chaos --kills 100 [--seed N]

Exit 0 and a table where all held, 1 with the seed and the history where something did not, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
from collections.abc import Callable

from tests.chaos import soak


def main(arguments: list[str] | None = None) -> int:
    """Run; the exit code."""
    wanted = _parser().parse_args(arguments)
    seed = random.randrange(10**6) if wanted.seed is None else wanted.seed  # noqa: S311 -- not a secret
    # A supervisor's SIGTERM ends it as Ctrl-C does: everything that was started is ended first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run: Callable[[], int]
    if wanted.kills:
        from tests.chaos.kills import run as run_kills

        run = lambda: run_kills(seed, wanted.kills, wanted.only)  # noqa: E731
    else:
        run = lambda: soak.run(seed, wanted.minutes * 60, every=wanted.every, only=wanted.only, rows=wanted.rows)  # noqa: E731
    try:
        return run()
    except KeyboardInterrupt:
        print("\ninterrupted; everything that was started has ended", flush=True)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, help="of an earlier run, to see the same faults at the same times")
    parser.add_argument("--every", type=_seconds, default=20.0, metavar="20s", help="from one fault to the next")
    parser.add_argument("--only", default="", metavar="WORDS", help="only faults with one of these, comma-separated")
    parser.add_argument("--rows", type=int, default=45_000, help="of each table that is migrated")
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="instead: kill each kind of process N times")
    return parser


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)s?", text)
    if found is None or float(found[1]) < 3:
        raise argparse.ArgumentTypeError('seconds such as "20s", 3 at least')
    return float(found[1])


if __name__ == "__main__":
    sys.exit(main())
