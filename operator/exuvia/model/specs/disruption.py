"""What holds the starts of a SecurityPolicy: budgets, windows, what may be passed, gates (api.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import ConfigDict, Field

from exuvia.model.specs.choices import BudgetAction, BypassBrake, Severity
from exuvia.model.specs.common import Amount, Duration, LabelKey, RuleName, SpecModel

_Schedule = Annotated[str, Field(min_length=1, max_length=128)]
_Zone = Annotated[str, Field(min_length=1, max_length=64)]


class Budget(SpecModel):
    """How many machines of what the target selects may be disrupted at once, always or by schedule."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.schedule) == has(self.duration)",
                    "message": "`schedule` and `duration` must be set together",
                },
                {
                    "rule": "!has(self.timeZone) || has(self.schedule)",
                    "message": "`timeZone` goes with `schedule`",
                },
            ]
        }
    )
    name: RuleName
    """The budget's name, unique in the policy; metrics and messages bear it."""
    nodes: Amount
    """How many machines of those that the target selects may be disrupted at once. A percentage is of them and rounds
    down, but never below 1 for two machines or more."""
    schedule: _Schedule | None = None
    """When it begins to bind: 5-field cron or a macro such as @daily; set together with `duration`. Unset: it always
    binds."""
    duration: Duration | None = None
    """How long it binds from each firing of `schedule`, in elapsed time."""
    time_zone: _Zone | None = None
    """The IANA time zone of `schedule`. Unset: UTC."""
    actions: Annotated[tuple[BudgetAction, ...], Field(min_length=1, max_length=2)] | None = None
    """Which starts it holds. Unset: Rotations."""
    topology_key: LabelKey | None = None
    """A label: the budget holds for each of its values apart, and a missing label is the value "". Unset: for all of
    them together."""


class Window(SpecModel):
    """When Rotations may start: from each firing of `schedule`, for `duration` of elapsed time."""

    schedule: _Schedule
    """When the window opens: 5-field cron or a macro such as @daily."""
    duration: Duration
    """How long it stays open, in elapsed time."""
    time_zone: _Zone = "UTC"
    """The IANA time zone of `schedule`."""


class Windows(SpecModel):
    """The allow-list of windows. Empty or absent means always."""

    allow: Annotated[tuple[Window, ...], Field(max_length=32)] = ()
    """The windows; one that is open is enough. Empty: Rotations may start at any time."""


class Bypass(SpecModel):
    """Which brakes a finding of at least this severity may pass."""

    min_severity: Severity
    """From which severity on a finding passes the brakes."""
    brakes: Annotated[tuple[BypassBrake, ...], Field(min_length=1, max_length=3)]
    """Which brakes of this policy it passes."""


class PrometheusGate(SpecModel):
    """A query whose value must not exceed a number."""

    url: Annotated[str, Field(max_length=1024)]
    """The address of Prometheus."""
    query: Annotated[str, Field(max_length=2048)]
    """The query, which must answer with one number."""
    max_value: Annotated[str, Field(max_length=32)]
    """The greatest number that lets Rotations start."""


class Gate(SpecModel):
    """Something outside that may say "not now"."""

    name: RuleName
    """The gate's name, unique in the policy."""
    type: Annotated[str, Field(pattern="^Prometheus$", max_length=16)]
    """Prometheus."""
    prometheus: PrometheusGate | None = None


class Disruption(SpecModel):
    """What holds the policy's own starts, and budgets that bind every disruption of what the target selects."""

    budgets: Annotated[tuple[Budget, ...], Field(max_length=32)] = ()
    """How many machines of what the target selects may be disrupted at once, whatever the policy's mode; the smallest
    active one binds. None: only FleetGuard's caps hold."""
    min_interval: Duration = timedelta(0)
    """How long after a start of this policy the next one waits, so that no crowd starts when a window opens."""
    windows: Windows | None = None
    """When Rotations may start. Unset: at any time."""
    bypass: Bypass | None = None
    """Which brakes a severe finding may pass. Unset: none."""
    gates: Annotated[tuple[Gate, ...], Field(max_length=16)] | None = None
    """Not served yet: what outside may say "not now"."""
    max_verdict_flip: Amount | None = None
    """Not served yet: an edit that flips more verdicts than this is held until it is acknowledged."""
