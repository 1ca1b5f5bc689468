"""Questions about the fleet that several loops ask: who is in a pool, what an operation would get, how things stand."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from exuvia.act.providers.resolve import resolve
from exuvia.app import operations
from exuvia.app.services import Services
from exuvia.evaluate import overlap
from exuvia.evaluate.policies import CompiledPolicy, selects
from exuvia.model.blocking import View
from exuvia.model.findings import Judgement, Verdict, Wish
from exuvia.model.instances import Instance
from exuvia.model.planning import Moment, Start, Subject
from exuvia.model.rotation_views import ProviderFacts
from exuvia.model.specs.fleet_guard import NAME, FleetGuard, Uninstall
from exuvia.model.specs.operation import FrozenSettings, Selecting
from exuvia.model.specs.security_policy import ProviderName, SecurityPolicySpec
from exuvia.observe.ours import Unparsable

SETTLED_AGE = timedelta(minutes=10)
STARTS_KEPT = timedelta(hours=2)
LEASES_FRESH = 20.0
LEASES_RETRY = 5.0


class Fleet:
    """Indexes over the view, and what is remembered of starts and leases during one term."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._pools: dict[str, set[str]] = {}
        self._births: dict[str, list[tuple[datetime, str]]] = {}
        self._machines: dict[str, str] = {}
        self._alike: dict[tuple[str, str], set[str]] = {}
        self._wishes: dict[tuple[str, bool], tuple[Judgement, Mapping[str, CompiledPolicy], Wish | None]] = {}
        self._starts: list[Start] = []
        self._leases: tuple[float, tuple[int, int]] | None = None
        self._unlisted: tuple[float, str] | None = None
        services.view.nodes.store.changed = self._index
        for one in services.view.nodes.store:
            self._index(None, one)

    def instance(self, uid: str) -> Instance | None:
        """The machine of that UID as last seen."""
        return self._services.view.nodes.store.get(uid)

    def in_pool(self, pool: str) -> list[Instance]:
        """Living machines of a pool, in no order: there may be thousands, and nobody needs all of them sorted."""
        found = (self.instance(uid) for uid in self._pools.get(pool, ()))
        return [one for one in found if one is not None]

    def born_in(self, pool: str, since: datetime) -> list[Instance]:
        """Living machines of a pool that were born then or later, oldest first; costs as much as there are of these."""
        births = self._births.get(pool, [])
        found = (self.instance(uid) for _, uid in births[bisect_left(births, (since, "")) :])
        return [one for one in found if one is not None]

    def namesake(self, name: str, uid: str) -> Instance | None:
        """Another living machine that bears this name."""
        found = self._services.view.nodes.store.named(name)
        return found if found is not None and found.uid != uid else None

    def by_provider_id(self, provider_id: str) -> Instance | None:
        """The living machine with that providerID."""
        uid = self._machines.get(provider_id) if provider_id else None
        return self.instance(uid) if uid else None

    def alike(self, *, name: str, provider_id: str, machine_id: str) -> list[Instance]:
        """Living machines that share a name, providerID or machineID that is not empty; by name and UID."""
        keys = _likenesses(name, provider_id, machine_id)
        found = (self.instance(uid) for uid in set[str]().union(*(self._alike.get(key, ()) for key in keys)))
        return sorted((one for one in found if one is not None), key=lambda one: (one.name, one.uid))

    def ready_once(self, instance: Instance, now: datetime) -> bool:
        """The ledger says so, or it is Ready now, or older than 10 minutes (api.md, Amounts)."""
        known = instance.uid in self._services.chronicle.ready_once
        return known or instance.ready or now - instance.born > SETTLED_AGE

    def subject(self, uid: str, now: datetime) -> Subject | None:
        """A machine as planning sees it; None when nothing of it is left."""
        instance = self.instance(uid)
        if instance is None:
            return Subject(uid=uid, instance=None, ready_once=True) if self._operated(uid) else None
        return Subject(
            uid=uid,
            instance=instance,
            ready_once=self.ready_once(instance, now),
            selecting=self._selecting(instance),
            wish=self.wish(uid, enforced=True),
        )

    def wish(self, uid: str, *, enforced: bool) -> Wish | None:
        """What the policies together want of a machine; with `enforced` False: what those in Audit would."""
        judgement, compiled = self._services.judgements.by_uid.get(uid), self._services.policies.compiled
        key = (uid, enforced)
        if judgement is None:
            self._wishes.pop(key, None)
            return None
        known = self._wishes.get(key)
        if known is None or known[0] is not judgement or known[1] is not compiled:
            known = (judgement, compiled, overlap.wish(judgement, compiled, enforced=enforced))
            self._wishes[key] = known
        return known[2]

    def doubt(self, machine: Instance, policy_uid: str) -> str:
        """Why it is not known what policies want of a machine: not judged yet, by an edit of theirs either, or one of
        them cannot judge it. "" when it is known. `policy_uid`: the one that wanted something once."""
        policies, judgement = self._services.policies, self._services.judgements.by_uid.get(machine.uid)
        unusable = next((one for one in policies.objects.values() if one.uid == policy_uid), None)
        if unusable is not None and unusable.name in policies.problems:
            return f"policy {unusable.name} cannot be used as it is now"
        for name, compiled in policies.compiled.items():
            if not overlap.acts(compiled.spec) or not compiled.selects(machine):
                continue
            found = judgement.assessments.get(name) if judgement else None
            if found is None or (found.policy_uid, found.generation) != (compiled.uid, compiled.generation):
                return f"policy {name} has not judged it yet"
            if found.verdict is Verdict.UNKNOWN:
                return f"policy {name} cannot judge it"
        return ""

    def settings_for(self, uid: str) -> FrozenSettings:
        """What an operation on this machine would get if it started now (operations.md, status.settings)."""
        instance = self.instance(uid)
        if instance is None:
            return FrozenSettings()
        names = self._selecting(instance)
        rotation, drain, quarantine = overlap.settings(self._winner(uid), self._valid(names))
        facts = self._services.policies.facts
        keys = {budget.topology_key for name in names for budget in facts[name].spec.disruption.budgets}
        return FrozenSettings(
            rotation=rotation,
            drain=drain,
            quarantine=quarantine,
            provider=self._resolve(rotation.provider, instance).name,
            pool=instance.pool,
            zone=instance.zone,
            role="control-plane" if instance.control_plane else "worker",
            machine_id=instance.machine_id,
            labels={key: instance.labels[key] for key in sorted(k for k in keys if k) if key in instance.labels},
            policies=tuple(Selecting(name=name, uid=facts[name].uid) for name in names),
        )

    def provider_for(self, uid: str) -> ProviderFacts:
        """Who would replace this machine, by the settings of the policy that would win."""
        instance = self.instance(uid)
        if instance is None:
            return ProviderFacts(problem="the machine is not there")
        winner = self._winner(uid)
        return self._resolve(winner.rotation.provider if winner else ProviderName.AUTO, instance)

    def provider_named(self, name: str) -> ProviderFacts:
        """What a provider can do, by its resolved name as frozen in an operation."""
        found = self._services.providers.get(name)
        if found is None:
            problem = f"no provider {name or '(none)'} is configured; see spec.rotation.provider"
            return ProviderFacts(name=name, problem=problem)
        return ProviderFacts(
            name=name, adds_first=found.adds_first, brings_replacement=found.brings_replacement, problem=""
        )

    def guard(self) -> tuple[FleetGuard | None, str]:
        """The FleetGuard `default`, or None and why it cannot be read."""
        found = self._services.view.guards.store.named(NAME)
        if isinstance(found, Unparsable):
            return None, f"FleetGuard {NAME} cannot be read: {found.problem}"
        return found, "" if found else f"there is no FleetGuard {NAME}"

    def uninstall(self) -> Uninstall | None:
        """What was asked of us for leaving; a FleetGuard that went meanwhile, or cannot be read any more, does not take
        it back as long as this process lives. None: nobody asks for it."""
        guard = self.guard()[0] or self._services.view.last_guard
        return guard.spec.uninstall if guard is not None else None

    def moment(self) -> Moment:
        """How everything stands now, for one pass of planning."""
        services = self._services
        guard, problem = self.guard()
        return Moment(
            guard=guard,
            guard_problem=problem,
            view=self._view(),
            clock_skew=services.client.clock_skew,
            leases=self._fresh_leases(),
            leases_problem=self._leases_problem(),
            ledger=services.ledger_health(),
            starts=tuple(self._starts),
            rotations=services.recollection.rotations(services.view.all_rotations()),
            quarantines=services.recollection.quarantines(services.view.all_quarantines()),
            own=services.own,
            read_only=services.settings.read_only,
            pods_on=services.view.pods_on,
            settings_for=self.settings_for,
            provider_for=self.provider_for,
        )

    def _view(self) -> View:
        """The picture, without what budgets that nobody can read would allow."""
        seen, unknown = self._services.view.view(), self._services.policies.unknown
        return replace(seen, missing=(*seen.missing, *unknown)) if unknown else seen

    def remember_starts(self, starts: Iterable[Start]) -> None:
        """What the ledger says of starts, and every start of ours."""
        known = {one.operation for one in self._starts}
        self._starts += [one for one in starts if one.operation not in known]
        horizon = self._services.clock.now() - STARTS_KEPT
        self._starts = [one for one in self._starts if one.at >= horizon]

    def note_leases(self, counted: tuple[int, int], began: float) -> None:
        """(expired, all), by a list that began at that time of the monotonic clock: since then what it says is old."""
        self._leases, self._unlisted = (began, counted), None
        if self._fresh_leases() is None:
            self.note_no_leases(f"listing the node leases took more than {LEASES_FRESH:g} s, so it is old already")

    def note_no_leases(self, problem: str) -> None:
        """They could not be listed just now; not asked again for a moment."""
        self._unlisted = (self._services.clock.monotonic(), problem)

    def _leases_problem(self) -> str:
        if self._unlisted is None or self._services.clock.monotonic() - self._unlisted[0] > LEASES_RETRY:
            return ""
        return self._unlisted[1]

    def _fresh_leases(self) -> tuple[int, int] | None:
        if self._leases is None or self._services.clock.monotonic() - self._leases[0] > LEASES_FRESH:
            return None
        return self._leases[1]

    def _winner(self, uid: str) -> SecurityPolicySpec | None:
        wish = self.wish(uid, enforced=True) or self.wish(uid, enforced=False)
        facts = self._services.policies.facts.get(wish.policy) if wish else None
        return facts.spec if facts else None

    def _selecting(self, instance: Instance) -> tuple[str, ...]:
        facts = self._services.policies.facts
        return tuple(name for name in sorted(facts) if selects(facts[name].spec, instance))

    def _valid(self, names: Iterable[str]) -> list[SecurityPolicySpec]:
        compiled = self._services.policies.compiled
        return [compiled[name].spec for name in names if name in compiled]

    def _resolve(self, wanted: ProviderName, instance: Instance) -> ProviderFacts:
        return resolve(self._services.providers, wanted, instance)

    def _operated(self, uid: str) -> bool:
        return any(one.spec.instance.uid == uid for one in operations.under_way(self._services.view))

    def _index(self, former: Instance | None, now: Instance | None) -> None:
        self._index_likenesses(former, now)
        self._index_births(former, now)
        if former is not None and now is None:
            self._wishes.pop((former.uid, True), None)
            self._wishes.pop((former.uid, False), None)
        if former is not None and (now is None or former.pool != now.pool):
            self._pools.get(former.pool, set()).discard(former.uid)
            if not self._pools.get(former.pool, True):
                del self._pools[former.pool]
        if former is not None and former.provider_id and self._machines.get(former.provider_id) == former.uid:
            del self._machines[former.provider_id]
        if now is not None:
            self._pools.setdefault(now.pool, set()).add(now.uid)
            if now.provider_id:
                self._machines[now.provider_id] = now.uid

    def _index_births(self, former: Instance | None, now: Instance | None) -> None:
        if former is not None and now is not None and (former.pool, former.born) == (now.pool, now.born):
            return
        if former is not None:
            births, entry = self._births.get(former.pool, []), (former.born, former.uid)
            place = bisect_left(births, entry)
            if births[place : place + 1] == [entry]:
                del births[place]
            if not births:
                self._births.pop(former.pool, None)
        if now is not None:
            insort(self._births.setdefault(now.pool, []), (now.born, now.uid))

    def _index_likenesses(self, former: Instance | None, now: Instance | None) -> None:
        if former is not None:
            for key in _likenesses(former.name, former.provider_id, former.machine_id):
                self._alike.get(key, set()).discard(former.uid)
                if not self._alike.get(key, True):
                    del self._alike[key]
        if now is not None:
            for key in _likenesses(now.name, now.provider_id, now.machine_id):
                self._alike.setdefault(key, set()).add(now.uid)


def _likenesses(name: str, provider_id: str, machine_id: str) -> list[tuple[str, str]]:
    pairs = (("name", name), ("provider", provider_id), ("machine", machine_id))
    return [pair for pair in pairs if pair[1]]
