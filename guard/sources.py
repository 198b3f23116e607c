"""The probes of applications: from a rule with `prometheus` or `http` to what asks its source, credentials included."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping

from guard.errors import WorldError
from guard.masking import remember
from guard.model import Rule
from guard.poll.http import HttpProbe
from guard.poll.prometheus import Line, PrometheusProbe, Traffic, connect
from guard.poll.prometheus_history import WITHIN, PrometheusHistory
from guard.poll.web import Access
from guard.ports import Probe
from guard.settings import AccessSettings, Settings


def application_probe(settings: Settings, rule: Rule) -> Probe:
    """The probe of a rule by HTTP or Prometheus; a credential that cannot be had is a silence of each poll.

    Raises WorldError where there is no Prometheus to ask.
    """
    if rule.metric == "http":
        return HttpProbe(
            rule.name,
            rule.query,
            json_path=rule.json_path,
            scale=rule.scale,
            access=_access(settings.access.get(rule.name, AccessSettings())),
            deadline=settings.guard.probe_deadline,
        )
    known = settings.prometheus
    if known is None:
        raise WorldError(f"Rule {rule.name} asks Prometheus, and there is no [prometheus] to ask.")
    line = connect(known.url, deadline=known.timeout, access=_access(known.access))
    return PrometheusProbe(
        rule.name,
        rule.query,
        line,
        scale=rule.scale,
        deadline=known.timeout,
        stale_after=rule.stale_after,
        traffic=Traffic(rule.traffic, rule.min_traffic) if rule.traffic else None,
    )


def histories_of(settings: Settings, rules: Iterable[Rule], *, within: float = WITHIN) -> dict[str, PrometheusHistory]:
    """By name those of *rules* whose source can be asked for the past: Prometheus. *within* is in seconds."""
    known = settings.prometheus
    if known is None:
        return {}
    access = _access(known.access)

    def line(deadline: float) -> Line:
        return connect(known.url, deadline=deadline, access=access)

    longest = max(within, known.timeout)
    return {rule.name: PrometheusHistory(rule, line, within=longest) for rule in rules if rule.metric == "prometheus"}


def _access(told: AccessSettings) -> Access:
    ca_file = None if told.ca_file is None else str(told.ca_file)
    return Access(told.headers, credentials_of(told), ca_file)


def credentials_of(told: AccessSettings) -> Callable[[], Mapping[str, str]]:
    """What says who asks, read anew each time; nothing where nobody is named. Raises WorldError when it is called."""

    def credentials() -> Mapping[str, str]:
        if told.bearer is not None:
            token = told.bearer.reveal()
            if not re.fullmatch(r"[!-~]+", token):
                raise WorldError(f"{told.bearer.source} holds characters that a bearer token must not have.")
            return {"Authorization": f"Bearer {token}"}
        if told.username is not None and told.password is not None:
            pair = base64.b64encode(f"{told.username}:{told.password.reveal()}".encode()).decode()
            remember(pair)
            return {"Authorization": f"Basic {pair}"}
        return {}

    return credentials
