"""Whom an Event is about: the machine of an operation, or the operation itself where there is no such machine."""

from __future__ import annotations

from exuvia.app import telling
from exuvia.model.instances import Instance
from exuvia.model.reasons import EventReason
from exuvia.model.specs.rotation import Rotation
from exuvia.model.steps import Note
from exuvia.report.events import Event
from tests.app.stage import NOW, fleet, services


class Heard:
    """The Events that were said."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def say(self, event: Event) -> None:
        self.events.append(event)


def test_without_a_machine_the_operation_itself_tells() -> None:
    spec = {"instance": {"kind": "Node", "name": "worker-7", "uid": "wrong"}}
    rotation = Rotation.parse({"metadata": {"name": "r-1", "uid": "r-uid"}, "spec": spec})
    heard = Heard()
    said = [
        Note(reason=EventReason.ROTATION_STARTED, text="started"),
        Note(reason=EventReason.ROTATION_ABORTED, text="aborted", of_operation=True),
    ]
    telling.notes(services(events=heard), rotation, said)
    started, aborted = heard.events
    assert (started.regarding.kind, started.regarding.uid) == ("Node", "wrong")
    assert started.related is not None and started.related.uid == "r-uid"
    assert (aborted.regarding.kind, aborted.regarding.name, aborted.regarding.uid) == ("Rotation", "r-1", "r-uid")
    assert aborted.related is None


def test_a_namesake_is_another_machine_of_that_name() -> None:
    made = fleet(services(), Instance(name="worker-7", uid="right", born=NOW))
    found = made.namesake("worker-7", "wrong")
    assert found is not None and found.uid == "right"
    assert made.namesake("worker-7", "right") is None
    assert made.namesake("worker-8", "wrong") is None
