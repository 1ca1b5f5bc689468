"""Who serves a machine: by what surely owns it; what is not known is a problem that names the field."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exuvia import ports
from exuvia.act.providers import PROVIDERS, configured, resolve
from exuvia.act.providers.resolve import FIELD, SERVED
from exuvia.model.instances import Instance
from exuvia.model.rotation_views import ProviderFacts
from exuvia.model.specs.security_policy import ProviderName
from exuvia.sandbox.cluster import World


def machine(provider_id: str = "simulated://workers/a") -> Instance:
    return Instance(name="a", uid="uid-a", provider_id=provider_id, born=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def providers() -> dict[str, ports.Provider]:
    return configured(cluster=World(), simulated_cloud="http://127.0.0.1:1")


def test_auto_goes_by_the_provider_id(providers: dict[str, ports.Provider]) -> None:
    found = resolve(providers, ProviderName.AUTO, machine())

    assert found == ProviderFacts(name="Simulated", adds_first=True, brings_replacement=True)


@pytest.mark.parametrize("provider_id", ["", "aws:///eu-central-1a/i-0abc", "kind://docker/x"])
def test_auto_never_falls_back_to_node_delete(providers: dict[str, ports.Provider], provider_id: str) -> None:
    found = resolve(providers, ProviderName.AUTO, machine(provider_id))

    assert found.name == ""
    assert FIELD in found.problem
    assert "a (providerID" in found.problem


def test_node_delete_is_served_when_it_is_named(providers: dict[str, ports.Provider]) -> None:
    found = resolve(providers, ProviderName.NODE_DELETE, machine("aws:///x/i-1"))

    assert found == ProviderFacts(name="NodeDelete", adds_first=False, brings_replacement=False)


@pytest.mark.parametrize("wanted", [ProviderName.AUTO, ProviderName.SIMULATED])
def test_without_a_simulated_cloud_the_option_is_named(wanted: ProviderName) -> None:
    found = resolve(configured(cluster=World()), wanted, machine())

    assert "--simulated-cloud" in found.problem
    assert FIELD in found.problem


def test_the_simulated_cloud_serves_no_other_machines(providers: dict[str, ports.Provider]) -> None:
    found = resolve(providers, ProviderName.SIMULATED, machine("aws:///x/i-1"))

    assert FIELD in found.problem


@pytest.mark.parametrize("wanted", sorted(set(ProviderName) - set(SERVED)))
def test_what_comes_later_is_said_to_be_not_served(providers: dict[str, ports.Provider], wanted: ProviderName) -> None:
    found = resolve(providers, wanted, machine())

    assert f"{wanted} is not served yet" in found.problem
    assert FIELD in found.problem


def test_a_machine_that_two_providers_own_is_a_problem(providers: dict[str, ports.Provider]) -> None:
    found = resolve({**providers, "Other": providers["Simulated"]}, ProviderName.AUTO, machine())

    assert "Other, Simulated" in found.problem


def test_every_provider_carries_a_card_with_its_own_name() -> None:
    assert {one.name for one in PROVIDERS} == set(SERVED) - {ProviderName.AUTO}
    for one in PROVIDERS:
        assert one.card.name == one.name
        assert one.card.description.endswith(".")
        assert one.card.example
