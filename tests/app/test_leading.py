"""Who leads, by what the Lease itself says: its holder, its last renewal, and how long that counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exuvia.app import leading
from exuvia.app.leading import TERM, Leader
from exuvia.model import marks, resources
from exuvia.sandbox.cluster import World

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("silent", "term", "works"), [(14, 15, True), (15, 15, False), (27, 15, False), (27, 60, True)]
)
def test_a_renewal_counts_for_as_long_as_the_lease_says(silent: int, term: int, works: bool) -> None:
    found = Leader(holder="vm-1", epoch=3, renewed=NOW - timedelta(seconds=silent), term=timedelta(seconds=term))
    assert found.works(NOW) is works
    assert ("vm-1 leads" in found.said(NOW)) is works
    assert ("nobody leads" in found.said(NOW)) is not works


def test_what_is_said_of_one_that_does_not_lead() -> None:
    dead = Leader(holder="vm-1", epoch=3, renewed=NOW - timedelta(seconds=82))
    assert dead.said(NOW) == "nobody leads: vm-1 was the last, epoch 3, and its Lease of 15 s was renewed 82 s ago"
    assert "never renewed it" in Leader(holder="vm-1", epoch=3).said(NOW)
    assert Leader().said(NOW) == "nobody leads"


@pytest.mark.parametrize(("written", "term"), [(40, timedelta(seconds=40)), (None, TERM), (0, TERM), ("soon", TERM)])
async def test_the_term_is_the_lease_s_own(written: Any, term: timedelta) -> None:
    world = World()
    spec = {"holderIdentity": "vm-1", "renewTime": "2026-11-24T12:00:00.000000Z", "leaseDurationSeconds": written}
    metadata = {"name": marks.LEASE, "namespace": marks.SYSTEM_NAMESPACE}
    world.add(resources.LEASES, {"metadata": metadata, "spec": spec})
    found = await leading.leader(world)
    assert (found.holder, found.renewed, found.term) == ("vm-1", NOW, term)
