"""A person at a terminal, on a cluster that holds nothing of ours before and after."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from exuvia.localcluster.controlplane import ControlPlane
from tests.cli.people import Person, wipe
from tests.cluster import Cluster


@pytest.fixture
async def admin(plane: ControlPlane, cluster: Cluster) -> AsyncIterator[Person]:
    """The admin, and none of our objects before and afterwards."""
    await wipe(cluster)
    yield Person(plane.kubeconfig)
    await wipe(cluster)


@pytest.fixture
def nobody(plane: ControlPlane) -> Person:
    """Somebody without any right."""
    return Person(plane.issue_kubeconfig("nobody"))
