"""Between the win of a step and its writes the world goes on: what holds by then holds the writes as well."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.act.hands import TOGETHER
from exuvia.app.advance import Advancer
from exuvia.app.lanes import Turn
from exuvia.decide import quarantine as decide_quarantine
from exuvia.decide.rotation import HAND_OVER
from exuvia.model.actions import EvictPod, Outcome, OutcomeKind, PodTarget, RemoveMachine
from exuvia.model.blocking import Blocked
from exuvia.model.instances import Reference
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.steps import Look, Step
from tests import virtual
from tests.app import stage

PAUSED = Blocked(reason=BlockedReason.PAUSED, message="paused by alice")
STORM = Blocked(reason=BlockedReason.STORM, message="too many are not ready")
WON: Any = SimpleNamespace(KIND="Rotation", name="r-1", uid="uid-r-1")


def evictions(count: int) -> tuple[EvictPod, ...]:
    return tuple(EvictPod(pod=PodTarget(namespace="shop", name=f"p{n}", uid=f"u{n}")) for n in range(count))


class Scene:
    """A Rotation whose brakes engage after so many writes."""

    def __init__(
        self, *, after: int | None = None, hold: Blocked | None = None, eviction: Blocked | None = None
    ) -> None:
        self.written = 0
        self._after = after
        self._holds = (hold, eviction)
        self.resigned = 0
        services = stage.services(
            hands=SimpleNamespace(execute_all=self._execute),
            leadership=SimpleNamespace(resign=self._resign, leads=lambda: True),
        )
        self.advancer = Advancer(services, stage.fleet(services))
        self.line: Any = SimpleNamespace(gather=self._gather, held=lambda view, now: view.hold)

    def view(self) -> Any:
        engaged = self._after is not None and self.written >= self._after
        hold, eviction = self._holds if engaged else (None, None)
        return SimpleNamespace(hold=hold, eviction_hold=eviction)

    async def _gather(self, won: Any, looks: Any) -> Any:
        return self.view()

    async def _execute(self, actions: Any) -> tuple[Outcome, ...]:
        self.written += len(actions)
        return tuple(Outcome(action=one, kind=OutcomeKind.DONE) for one in actions)

    def _resign(self) -> None:
        self.resigned += 1

    def act(self, step: Step, seen: Any = None) -> tuple[tuple[Outcome, ...], bool]:
        return virtual.run(self.advancer._act(self.line, WON, seen or self.view(), step))


def test_a_whole_wave_goes_out_where_nothing_holds() -> None:
    scene = Scene()
    outcomes, whole = scene.act(Step(name="Evicting", actions=evictions(20), disruptive=True))
    assert whole and len(outcomes) == scene.written == 20


def test_a_pause_that_comes_while_the_step_was_won_stops_it_before_the_first_write() -> None:
    scene = Scene(after=0, hold=PAUSED)
    seen = SimpleNamespace(hold=None, eviction_hold=None)
    assert scene.act(Step(name="Marking", actions=evictions(1), disruptive=True), seen) == ((), False)
    assert scene.written == 0


@pytest.mark.parametrize(("hold", "eviction"), [(PAUSED, None), (None, STORM)])
def test_what_engages_in_the_middle_of_a_wave_stops_the_rest_of_it(
    hold: Blocked | None, eviction: Blocked | None
) -> None:
    scene = Scene(after=1, hold=hold, eviction=eviction)
    outcomes, whole = scene.act(Step(name="Evicting", actions=evictions(20), disruptive=True))
    assert not whole
    assert len(outcomes) == scene.written == TOGETHER


def test_what_gives_back_is_not_held() -> None:
    scene = Scene(after=0, hold=PAUSED)
    _, whole = scene.act(Step(name="Restoring", actions=evictions(1)))
    assert whole and scene.written == 1


def test_what_was_decided_although_something_holds_is_done() -> None:
    """Else it would be won again and again, for nothing."""
    scene = Scene(after=0, hold=PAUSED)
    _, whole = scene.act(Step(name="GivingBack", actions=evictions(1), disruptive=True))
    assert whole and scene.written == 1


def test_leadership_is_handed_over_when_a_rotation_asks_for_it() -> None:
    scene = Scene()
    scene.advancer._hand_over(WON, Step(name="Evicting"))
    assert scene.resigned == 0
    scene.advancer._hand_over(WON, Step(name=HAND_OVER))
    assert scene.resigned == 1


class Telling:
    """Keeps what the ledger would be told of one step."""

    def __init__(self, hands: Any) -> None:
        self.intents: list[str] = []
        self.outcomes: list[str] = []
        services = stage.services(hands=hands, leadership=SimpleNamespace(leads=lambda: True))
        self.advancer = Advancer(services, stage.fleet(services))
        self.advancer.winner = self  # type: ignore[assignment]
        self.view = SimpleNamespace(hold=None, eviction_hold=None)

        async def gather(won: Any, looks: Any) -> Any:
            return self.view

        self.line: Any = SimpleNamespace(gather=gather, held=lambda view, now: None)

    async def intent(self, operation: Any, step: str, machine: str = "") -> Any:
        self.intents.append(machine or operation.spec.instance.uid)
        return object()

    async def swap(self, line: Any, operation: Any, status: Any, receipt: Any = None) -> Any:
        return operation

    def outcome(self, operation: Any, receipt: Any, result: str, outcomes: Any = ()) -> None:
        self.outcomes.append(result)

    def carry_out(self, step: Step) -> None:
        meta = {"name": "r-1", "uid": "R", "creationTimestamp": "2026-11-25T11:00:00Z", "resourceVersion": "1"}
        spec = {"instance": {"kind": "Node", "name": "old", "uid": "N-old"}}
        operation = Rotation.parse({"metadata": meta, "spec": spec, "status": {"phase": "Failed"}})
        virtual.run(self.advancer._carry_out(self.line, operation, self.view, step))


async def _slip(actions: Any) -> Any:
    raise ValueError("nobody thought of this")


@pytest.mark.parametrize(
    ("action", "machine"),
    [
        (
            RemoveMachine(provider="Simulated", pool="p", instance=Reference(kind="Node", name="new", uid="N-new")),
            "N-new",
        ),
        (evictions(1)[0], "N-old"),
    ],
)
def test_an_intent_names_the_machine_that_is_written_to_and_has_its_outcome_whatever_the_hands_do(
    action: Any, machine: str
) -> None:
    told = Telling(SimpleNamespace(execute_all=_slip))
    with pytest.raises(ValueError, match="nobody thought of this"):
        told.carry_out(Step(name="GivingBack", actions=(action,), disruptive=True))
    assert told.intents == [machine]
    assert told.outcomes == ["unknown"]


def test_what_the_runner_wrote_itself_wakes_nobody_and_what_others_write_does() -> None:
    """It looks again after each write by itself; a write is a compare-and-swap on all that came before it."""
    scene = Scene()
    woken: list[str] = []
    scene.advancer.wake = lambda kind, uid: woken.append(uid)  # type: ignore[method-assign]
    scene.advancer._written["uid-r-1"] = 7
    for version in ("5", "7"):
        scene.advancer.changed("Rotation", "uid-r-1", version)
    assert woken == []
    scene.advancer.changed("Rotation", "uid-r-1", "8")
    scene.advancer.changed("Rotation", "uid-r-2", "5")
    assert woken == ["uid-r-1", "uid-r-2"]


@pytest.mark.parametrize(("marks_it", "heard"), [(True, ["begin"]), (False, ["begin", "forget"])])
def test_evidence_is_asked_for_beside_the_last_look_before_the_marks(
    marks_it: bool, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept for the marks, and given up where there are none after all."""
    said: list[str] = []
    monkeypatch.setattr(decide_quarantine, "order", lambda view: None)
    scene = Scene()
    scene.advancer._services.custodian = SimpleNamespace(
        begin=lambda order: said.append("begin"), forget=lambda uid: said.append("forget")
    )
    steps = [Step(look=frozenset({Look.NODE})), Step(snapshot=marks_it)]
    scene.line.step = lambda view, now: steps.pop(0)
    meta = {"name": "q", "uid": "Q", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": "w", "uid": "N"}}
    status = {"phase": "Isolating", "startedAt": "2026-11-25T11:00:00Z"}
    quarantine = Quarantine.parse({"metadata": meta, "spec": spec, "status": status})
    virtual.run(scene.advancer._ask(scene.line, quarantine, Turn(asyncio.Semaphore())))
    assert said == heard


def test_trouble_that_stays_is_said_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    answers: list[Any] = [errors.Forbidden("no right")] * 3 + [None, errors.Forbidden("no right")]

    async def advance(line: Any, uid: str) -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    monkeypatch.setattr(scene.advancer, "_advance", advance)
    said = []
    while answers:
        virtual.run(scene.advancer._guarded("Rotation", "u"))
        said.append(len(caplog.records))
    assert said == [1, 1, 1, 1, 2]


async def test_who_polls_its_provider_leaves_its_lane_to_others_first() -> None:
    """A held Quarantine looks after its marks and pods, and only then asks what became of its replacement."""
    scene, taken, seen = Scene(), asyncio.Lock(), list[tuple[str, bool]]()

    async def gather(operation: Any, looks: frozenset[Look]) -> Any:
        seen.append((",".join(sorted(looks)), taken.locked()))
        return scene.view()

    scene.line.gather = gather
    steps = [Step(look=frozenset({Look.PODS})), Step(look=frozenset({Look.MACHINE})), Step()]
    scene.line.step = lambda view, now: steps.pop(0)
    scene.advancer._snapped = lambda operation, step: step  # type: ignore[method-assign]
    outside = asyncio.Semaphore(1)
    turn = Turn(outside)
    await turn.begin(taken)
    await scene.advancer._ask(scene.line, WON, turn)
    assert seen == [("", True), (Look.PODS, True), (f"{Look.MACHINE},{Look.PODS}", False)]
    assert outside.locked()
    await turn.end()
    assert not outside.locked()
