"""NetworkPolicies are read now, whole, and once for all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from exuvia import errors
from exuvia.act import network
from exuvia.act.network import PolicyLists


class Server:
    """Serves one policy a namespace, at a version."""

    def __init__(self) -> None:
        self.version, self.rules = "1", None
        self.asked: list[str] = []
        self.trouble: Exception | None = None

    async def pages(self, _: object, *, namespace: str) -> AsyncIterator[list[dict[str, Any]]]:
        self.asked.append(namespace)
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        meta = {"namespace": namespace, "name": "open", "uid": f"uid-{namespace}", "resourceVersion": self.version}
        yield [{"metadata": meta, "spec": {"ingress": self.rules}}]


async def test_those_who_ask_at_the_same_moment_share_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    lists = PolicyLists(server)  # type: ignore[arg-type]
    answers = await asyncio.gather(*(lists.read(["shop", "till"]) for _ in range(20)))
    assert {tuple(one.key for one in some) for some in answers} == {("shop/open", "till/open")}
    assert sorted(server.asked) == ["shop", "till"]


async def test_a_policy_is_parsed_once_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    server, parsed = Server(), list[str]()
    parse = network.facts_of
    monkeypatch.setattr(network, "facts_of", lambda body: parsed.append("one") or parse(body))
    lists = PolicyLists(server)  # type: ignore[arg-type]
    for _ in range(3):
        assert not (await lists.read(["shop"]))[0].allows
    server.version, server.rules = "2", [{}]  # type: ignore[assignment]
    assert (await lists.read(["shop"]))[0].allows
    assert len(parsed) == 2


async def test_a_namespace_that_cannot_be_read_passes_for_no_empty_one() -> None:
    server = Server()
    server.trouble = errors.Unreachable("connection reset")
    with pytest.raises(errors.Unreachable):
        await PolicyLists(server).read(["shop"])  # type: ignore[arg-type]


async def test_what_was_read_of_namespaces_is_kept_for_the_last_ones_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Namespaces come and go for as long as the process lives."""
    monkeypatch.setattr(network, "KEPT", 3)
    lists = PolicyLists(Server())  # type: ignore[arg-type]
    for name in ("a", "b", "c", "a", "d", "e"):
        await lists.read([name])
    assert list(lists._known) == ["a", "d", "e"]
    assert not lists._lists._shared
