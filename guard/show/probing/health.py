"""What `/healthz` says: whether every guard looks and judges. Pure.

It answers the question whether to restart the process. A database that is away is no reason: the guard says so in
`/metrics`, in `status` and to people, and a restart would not bring it back. It names no reason, since no token is
needed to ask.
"""

from __future__ import annotations

from collections.abc import Sequence

from guard.show.sight import Seen


def healthz(seen: Sequence[Seen]) -> tuple[bool, str]:
    """Whether all is well, and a line for each database."""
    ills = [_ill(each) for each in seen]
    lines = [
        f"FAILED {each.database}: {ill}"
        if ill
        else f"ok {each.database}: {each.mode}, judged {each.judged_age:.1f} s ago"
        for each, ill in zip(seen, ills, strict=True)
    ]
    return bool(seen) and not any(ills), "\n".join(lines or ["FAILED: nothing is guarded"]) + "\n"


def _ill(seen: Seen) -> str:
    if seen.ended_because:
        return "it is not guarded any more"
    if seen.judged_age > seen.patience:
        return f"not judged for {seen.judged_age:.1f} s"
    if seen.asked_age > seen.patience:
        return f"a probe has not been asked for {seen.asked_age:.1f} s"
    return ""
