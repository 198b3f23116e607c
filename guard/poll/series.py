"""What Prometheus' answers hold: the one series that a rule's query has to give. No I/O."""

from __future__ import annotations

import math
from typing import Any

from guard.errors import Refused


def only(result: Any) -> Any:
    """The one series of a vector or a range. Raises Refused where there is none, or several."""
    if not isinstance(result, list):
        raise Refused("the answer is not one of Prometheus")
    if not result:
        raise Refused("the query gives no series")
    if len(result) > 1:
        raise Refused(f"the query gives {len(result)} series; an aggregate such as sum() or max() makes one of them")
    return result[0]


def single(result: Any) -> tuple[float, float]:
    """The value and the Unix time of the one series in an instant vector. Raises Refused where there is none."""
    series = only(result)
    try:
        stamped, text = series["value"]
        value, stamped_wall = float(text), float(stamped)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Refused("the answer is not an instant vector") from None
    if math.isnan(value):
        raise Refused("the query gives NaN")
    if not math.isfinite(stamped_wall):
        raise Refused("the answer is not an instant vector")
    return value, stamped_wall


def points(result: Any) -> list[tuple[float, float]]:
    """Pairs of Unix time and value of the one series in a range; what is not finite is left out. Raises Refused."""
    series = only(result)
    try:
        found = [(float(at), float(text)) for at, text in series["values"]]
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Refused("the answer is not a range") from None
    return [(at, value) for at, value in found if math.isfinite(at) and math.isfinite(value)]
