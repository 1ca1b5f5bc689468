"""`kubectl explain` on a real API server, and both ways to apply the CRDs."""

from __future__ import annotations

import pytest

from exuvia.localcluster.controlplane import ControlPlane
from tests.deploy import calling

pytestmark = pytest.mark.cluster

KINDS = ("securitypolicies", "fleetguards", "rotations", "quarantines", "licensepools")


@pytest.mark.parametrize("kind", KINDS)
def test_explain_tells_what_it_is_and_what_its_parts_are(installed: ControlPlane, kind: str) -> None:
    for place in (kind, f"{kind}.spec", f"{kind}.status"):
        said = installed.kubectl("explain", place, "--api-version=exuvia.dev/v1alpha1")
        assert "<none>" not in said and "<empty>" not in said, place


def test_explain_tells_unit_and_default(installed: ControlPlane) -> None:
    said = " ".join(installed.kubectl("explain", "exsp.spec.drain.volumeDetachTimeout").split())
    assert "such as 2h20m. Default: 10m." in said


@pytest.mark.parametrize("how", [("--server-side", "--force-conflicts"), ()], ids=["server", "client"])
def test_the_crds_apply_both_ways(installed: ControlPlane, how: tuple[str, ...]) -> None:
    said = installed.kubectl("apply", *how, "-k", str(calling.ROOT / "crds"))
    assert len(said.splitlines()) == len(KINDS)
