"""A replica that does not lead keeps little of what comes and goes, for however long it stands by."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from exuvia.app import operator as module
from exuvia.app.operator import Operator
from tests.app import stage
from tests.evaluate.world import node


async def test_who_went_while_another_leads_is_kept_up_to_a_number(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "GONE_KEPT", 3)
    view = stage.services().view
    replica: Any = SimpleNamespace(_stop=asyncio.Event(), _leadership=SimpleNamespace(leads=lambda: False), _view=view)
    waiting = asyncio.create_task(Operator._until_leading(replica))
    for number in range(10):
        view.nodes.store.put(node(f"w{number}"), str(number + 1))
        view.nodes.store.drop(f"uid-w{number}", str(number + 2))
        view.pods.store.drop("none", "1")
    await asyncio.sleep(0.1)
    assert [one.name for one in view.nodes.store.gone()] == ["w7", "w8", "w9"]
    assert len(view.nodes.store.take_dirty()) == 3
    replica._stop.set()
    await waiting
