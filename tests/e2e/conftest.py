"""An operator and a simulated cloud for each end-to-end test, on the shared control plane."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from exuvia.localcluster.cloud import starting
from exuvia.localcluster.controlplane import ControlPlane
from tests.cluster import Cluster
from tests.e2e.operated import Operated, operated


@pytest.fixture(scope="session")
def cloud(plane: ControlPlane) -> Iterator[str]:
    """The URL of a simulated cloud beside the control plane."""
    yield starting.start(plane)
    plane.stop_process(starting.NAME)


@pytest.fixture
async def world(cluster: Cluster, cloud: str, tmp_path: Path) -> AsyncIterator[Operated]:
    """Rights installed, nothing started yet: `await world.start()`."""
    async with operated(cluster, tmp_path, cloud=cloud) as made:
        yield made
