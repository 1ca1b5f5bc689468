"""Who looks again when a NetworkPolicy comes, changes or goes; and that it happens within seconds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exuvia.app import networks
from exuvia.app.clock import SystemClock
from exuvia.app.networks import Networks, Policy, concerned, policy_of
from exuvia.kube.client import Client
from exuvia.model import marks, resources
from exuvia.model.specs.quarantine import Quarantine
from tests.app import stage
from tests.cluster import until
from tests.observe.faulty import Fault, serving

OURS = Policy(uid="p1", namespace="shop", name="exuvia-q1", of="q1", sound=True, allows=False)
OPEN = Policy(uid="p2", namespace="shop", name="open", of="", sound=False, allows=True)
CLOSED = replace(OPEN, allows=False)
BROKEN = replace(OURS, sound=False, allows=True)
CUT_OFF = {"q1": frozenset({"shop"}), "q2": frozenset({"bank"}), "q3": frozenset({"shop", "bank"})}


@pytest.mark.parametrize(
    ("former", "now", "who"),
    [
        (None, OURS, set()),  # we made it
        (OURS, None, {"q1"}),  # somebody deleted it
        (OURS, BROKEN, {"q1", "q3"}),
        (OURS, replace(OURS, of="", sound=False), {"q1"}),  # somebody took its label off
        (BROKEN, OURS, {"q1", "q3"}),  # mended: it allows nothing any more
        (None, OPEN, {"q1", "q3"}),
        (OPEN, None, {"q1", "q3"}),
        (OPEN, CLOSED, {"q1", "q3"}),
        (None, CLOSED, set()),
        (replace(OURS, of="ended"), None, set()),
    ],
)
def test_a_change_concerns_whose_policy_it_is_and_where_it_lets_traffic_in(
    former: Policy | None, now: Policy | None, who: set[str]
) -> None:
    assert concerned(former, now, CUT_OFF) == who


def body(uid: str, quarantine: str, **spec: Any) -> dict[str, Any]:
    label = {marks.QUARANTINE_POD_LABEL: quarantine}
    meta = {"name": uid, "uid": uid, "namespace": "shop", "labels": label}
    return {
        "metadata": meta,
        "spec": {"podSelector": {"matchLabels": label}, "policyTypes": ["Ingress", "Egress"]} | spec,
    }


def quarantine(uid: str, *namespaces: str) -> Quarantine:
    meta = {"name": f"name-{uid}", "uid": uid, "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": "w", "uid": f"node-{uid}"}}
    return Quarantine.parse({"metadata": meta, "spec": spec, "status": {"phase": "Held", "namespaces": namespaces}})


async def test_who_deletes_or_opens_a_policy_wakes_its_quarantine_within_a_second(tmp_path: Path) -> None:
    policies = resources.NETWORK_POLICIES
    async with serving(tmp_path) as (server, client):
        await server.put(policies, body("p1", "q1"))
        woken, running = watching(client)
        try:
            await until(lambda: woken == ["q1"], what="the first look")
            await server.put(policies, body("p1", "q1", ingress=[{}]))
            await until(lambda: woken == ["q1"] * 2, what="a look after it was opened", seconds=3)
            await server.put(policies, body("p1", "q1"))
            await server.delete(policies, "p1")
            await until(lambda: len(woken) > 2, what="a look after it was deleted", seconds=3)
            assert set(woken) == {"q1"}
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def watching(client: Client) -> tuple[list[str], asyncio.Task[None]]:
    """Over one Quarantine with a policy in namespace shop, and one without any."""
    clock = SystemClock()
    services = stage.services(clock=clock, client=client)
    for one in (quarantine("q1", "shop"), quarantine("q2")):
        services.view.quarantines.store.put(one, "1")
    woken: list[str] = []
    made = Networks(services, lambda kind, uid: woken.append(uid))
    return woken, asyncio.create_task(made.run())


async def test_a_watch_that_died_leaves_nothing_to_the_long_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was listed once and is never heard of again. One that is only quiet ends by itself, which is heard."""
    monkeypatch.setattr(networks, "BLIND_SECONDS", 2.5)
    monkeypatch.setattr(networks, "WATCH_SECONDS", 1)
    async with serving(tmp_path) as (server, client):
        await server.put(resources.NETWORK_POLICIES, body("p1", "q1"))
        watches = server.of(resources.NETWORK_POLICIES).watches
        watches.extend(Fault() for _ in range(4))
        watches.append(Fault("silent"))
        woken, running = watching(client)
        try:
            await until(lambda: woken == ["q1"], what="the first look")
            await until(lambda: not watches, what="the watch that dies", seconds=10)
            assert woken == ["q1"], "a quiet watch wakes nobody"
            await until(lambda: woken == ["q1"] * 3, what="a look although nothing is heard", seconds=10)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_nothing_is_watched_while_no_machine_is_cut_off(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, client):
        services = stage.services(clock=SystemClock(), client=client)
        services.view.quarantines.store.put(quarantine("q2"), "1")
        running = asyncio.create_task(Networks(services, lambda kind, uid: None).run())
        await asyncio.sleep(0.3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert server.of(resources.NETWORK_POLICIES).asked == []


def test_what_is_ours_is_known_by_its_label_also_when_it_denies_no_more() -> None:
    sound = policy_of(msgspec.json.encode(body("p1", "q1")))
    assert (sound.of, sound.sound, sound.allows) == ("q1", True, False)
    opened = policy_of(msgspec.json.encode(body("p1", "q1", egress=[{}])))
    assert (opened.of, opened.sound, opened.allows) == ("q1", False, True)
