"""What the Lease says that the last leader missed: whose it is, and how long it stands there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import losses
from exuvia.app.inheriting import Inherited
from exuvia.model import marks
from exuvia.model.facts import LedgerHealth, LedgerState
from tests.app import stage

BROKEN = "0" * 64
FINE = LedgerHealth(state=LedgerState.FINE)


def inherited(annotations: dict[str, str], **settings: str) -> tuple[Inherited, Any]:
    """Of a leader that has the epoch 4."""
    cluster = stage.Objects()
    cluster.kept[marks.LEASE] = {"metadata": {"name": marks.LEASE, "annotations": annotations}}
    leadership = SimpleNamespace(epoch=4, notes={})
    services = stage.services(cluster=cluster, leadership=leadership, settings=stage.Settings(**settings))
    return Inherited(services), services


async def test_the_note_stands_until_it_was_looked_for() -> None:
    name = f"2:{'ab' * 32}"
    asked, services = inherited({losses.KEY: name, losses.OF: "3 "})
    notes = services.leadership.notes
    asked.tell(FINE, uninstalled=False)
    assert notes == {}, "it is not known yet what stands there"
    services.cluster.trouble = errors.Unreachable("no route")
    with pytest.raises(errors.ClusterError):
        await asked.read()
    services.cluster.trouble = None
    (named,) = await asked.read()
    asked.tell(FINE, uninstalled=False)
    assert notes == {losses.KEY: name, losses.OF: "4 "}, "the ledger was not asked yet"
    asked.looked_for([named.name])
    asked.tell(FINE, uninstalled=False)
    assert notes[losses.KEY] == ""
    asked.tell(LedgerHealth(state=LedgerState.NOT_TRUSTED, missing=(name,)), uninstalled=False)
    assert notes[losses.KEY] == name
    asked.tell(LedgerHealth(state=LedgerState.NOT_TRUSTED, missing=(name,)), uninstalled=True)
    assert notes[losses.KEY] == "", "a ledger of a later installation misses nothing"


@pytest.mark.parametrize(("broken", "ours"), [(False, "berlin"), (False, ""), (True, "berlin")])
async def test_what_a_leader_missed_in_another_chain_is_neither_missing_in_this_one_nor_forgotten(
    broken: bool, ours: str
) -> None:
    """A leader that was started with a mistaken name does not put its own note in the place of the only one."""
    note = {losses.KEY: f"2:{BROKEN if broken else 'ab' * 32}", losses.OF: "3 paris"}
    asked, services = inherited(note, cluster_name=ours)
    with pytest.raises(errors.InvalidObject, match=r"in the chain of paris, .* the --cluster-name that it had"):
        await asked.read()
    asked.tell(FINE, uninstalled=False)
    assert services.leadership.notes == {}
    await asked.end()


async def test_of_another_chain_only_what_is_missing_is_kept() -> None:
    asked, services = inherited({losses.KEY: "", losses.OF: "3 paris"}, cluster_name="berlin")
    assert await asked.read() == []
    asked.tell(FINE, uninstalled=False)
    assert services.leadership.notes == {losses.KEY: "", losses.OF: "4 berlin"}


async def test_what_is_missing_is_looked_for_where_nobody_said_whose_it_is() -> None:
    note = {losses.KEY: f"2:{'ab' * 32}", losses.OF: "3 paris"}
    asked, _ = inherited(note, cluster_name="paris")
    assert len(await asked.read()) == 1
    asked, _ = inherited({losses.KEY: note[losses.KEY]}, cluster_name="berlin")
    assert len(await asked.read()) == 1, "a former version did not say which chain it was"


async def test_the_note_goes_with_an_uninstall_also_where_the_ledger_was_down_all_the_time() -> None:
    asked, services = inherited({losses.KEY: f"2:{'ab' * 32}", losses.OF: "3 paris"})
    asked.tell(LedgerHealth(state=LedgerState.DOWN), uninstalled=False)
    assert services.leadership.notes == {}
    asked.tell(LedgerHealth(state=LedgerState.DOWN), uninstalled=True)
    assert services.leadership.notes[losses.KEY] == ""
