"""Which provider serves a machine. `Auto` goes by what surely owns it and never falls back to NodeDelete."""

from __future__ import annotations

from collections.abc import Mapping

from exuvia import ports
from exuvia.act.providers import simulated
from exuvia.model.instances import Instance
from exuvia.model.rotation_views import ProviderFacts
from exuvia.model.specs.security_policy import ProviderName

FIELD = "spec.rotation.provider"
SERVED = (ProviderName.AUTO, ProviderName.NODE_DELETE, ProviderName.SIMULATED)
_NO_CLOUD = "exuvia runs without a simulated cloud: start it with --simulated-cloud URL"


def resolve(providers: Mapping[str, ports.Provider], wanted: ProviderName, instance: Instance) -> ProviderFacts:
    """By its resolved name, or the problem that names the field to change. Asks nobody."""
    if wanted not in SERVED:
        served = ", ".join(SERVED)
        return _problem(f"{FIELD}: {wanted} is not served yet; served are {served}", name=wanted)
    if wanted is ProviderName.AUTO:
        return _by_owner(providers, instance)
    provider = providers.get(wanted)
    if provider is None:
        why = _NO_CLOUD if wanted is ProviderName.SIMULATED else "it is not configured"
        return _problem(f"{FIELD}: {wanted}: {why}", name=wanted)
    if wanted is ProviderName.SIMULATED and not provider.owns(instance):
        return _problem(f"{FIELD}: {wanted} does not know {_who(instance)}", name=wanted)
    return _facts(wanted, provider)


def _by_owner(providers: Mapping[str, ports.Provider], instance: Instance) -> ProviderFacts:
    owners = sorted(name for name, one in providers.items() if one.owns(instance))
    if len(owners) == 1:
        return _facts(owners[0], providers[owners[0]])
    if owners:
        return _problem(f"{FIELD}: several providers own {_who(instance)}: {', '.join(owners)}; name one of them")
    if simulated.is_simulated(instance.provider_id):
        return _problem(f"{FIELD}: {_who(instance)} is simulated, but {_NO_CLOUD}")
    return _problem(f"{FIELD}: no provider owns {_who(instance)}; name one there, for example NodeDelete")


def _facts(name: str, provider: ports.Provider) -> ProviderFacts:
    return ProviderFacts(name=str(name), adds_first=provider.adds_first, brings_replacement=provider.brings_replacement)


def _problem(message: str, *, name: str = "") -> ProviderFacts:
    return ProviderFacts(name=str(name), problem=message)


def _who(instance: Instance) -> str:
    return f"{instance.name} (providerID {instance.provider_id or 'not set'})"
