"""Since when a machine was frozen is known of a Quarantine that ended, too: the ledger may have been away meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exuvia.app.lasting import frozen_since
from exuvia.model.specs.quarantine import Quarantine

MARKED = "2026-11-25T11:00:00Z"


@pytest.mark.parametrize(
    ("isolation", "frozen"),
    [
        ({"state": "Ended", "was": "Isolated"}, True),
        ({"state": "Ended", "was": "Partial"}, False),
        ({"state": "Isolated"}, True),
        ({"state": "Ended"}, False),
    ],
)
def test_what_was_isolated_until_its_end_was_frozen(isolation: dict[str, str], frozen: bool) -> None:
    steps = [{"name": "Isolating", "startedAt": MARKED, "finishedAt": MARKED}]
    metadata = {"name": "q", "uid": "q1", "creationTimestamp": MARKED}
    spec = {"instance": {"kind": "Node", "name": "n", "uid": "n1"}}
    status = {"phase": "Released", "steps": steps, "isolation": isolation}
    found = frozen_since(Quarantine.parse({"metadata": metadata, "spec": spec, "status": status}))
    assert found == (datetime(2026, 11, 25, 11, tzinfo=UTC) if frozen else None)
