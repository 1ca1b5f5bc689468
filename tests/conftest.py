"""What all tests share: one real control plane a session, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from exuvia.localcluster import binaries
from exuvia.localcluster.controlplane import ControlPlane
from tests.cluster import Cluster, fresh

CRDS = Path(__file__).parents[1] / "crds"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several workers share the tests, all that need the control plane go to one of them: there is one."""
    for one in items:
        if one.get_closest_marker("cluster"):
            one.add_marker(pytest.mark.xdist_group("plane"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build missing executables before the first test, in sight: it takes longer than any test may."""
    wanted = any(one.get_closest_marker("cluster") for one in session.items)
    if wanted and not session.config.option.collectonly:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            binaries.ensure()


@pytest.fixture(scope="session")
def executables() -> Path:
    """The folder of the control plane's executables; built when they are missing (once, some minutes)."""
    return binaries.ensure()


@pytest.fixture(scope="session")
def plane(executables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real control plane with our CRDs in it."""
    with ControlPlane(tmp_path_factory.mktemp("plane"), executables) as started:
        started.kubectl("apply", "--server-side", "-k", str(CRDS))
        started.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield started


@pytest.fixture
async def cluster(plane: ControlPlane) -> AsyncIterator[Cluster]:
    """The control plane with a namespace and a pool for this test alone, emptied afterwards."""
    async with fresh(plane) as made:
        yield made
