"""The policies as they can be used: compiled once a generation, or their problems in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from exuvia.evaluate.overlap import acts
from exuvia.evaluate.policies import CompiledPolicy, compile_policy
from exuvia.model.planning import PolicyFacts
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import Mode, RuleType, SecurityPolicy
from exuvia.observe.ours import Unparsable

Found = CompiledPolicy | tuple[Problem, ...]


class Policies:
    """What every policy came to. `refresh` tells whether anything changed.

    With `read_only` every policy counts as one in Audit, whatever it says: exuvia has no right to act then.
    """

    def __init__(self, *, read_only: bool = False) -> None:
        self._read_only = read_only
        self.compiled: dict[str, CompiledPolicy] = {}
        self.problems: dict[str, tuple[Problem, ...]] = {}
        self.facts: dict[str, PolicyFacts] = {}
        self.objects: dict[str, SecurityPolicy] = {}
        self.unparsable: dict[str, Unparsable] = {}
        self.seat_pools: frozenset[str] = frozenset()
        self.needs_risk = False
        self._cache: dict[tuple[str, int], Found] = {}

    def refresh(self, objects: Iterable[SecurityPolicy | Unparsable]) -> bool:
        """Compile what is new. Only spec changes count: a status write of ours changes nothing."""
        before = {name: (one.uid, one.metadata.generation) for name, one in self.objects.items()}
        found = [self._tamed(one) for one in objects]
        self.objects = {one.name: one for one in found if isinstance(one, SecurityPolicy)}
        former, self.unparsable = self.unparsable, {one.name: one for one in found if isinstance(one, Unparsable)}
        after = {name: (one.uid, one.metadata.generation) for name, one in self.objects.items()}
        if after == before and _problems(self.unparsable) == _problems(former):
            return False
        self._sort()
        return True

    @property
    def needs_objects(self) -> bool:
        """Whether any policy has an expression, so that whole Nodes must be kept."""
        return any(one.expressions for one in self.compiled.values())

    def exists(self, uid: str) -> bool:
        """Whether a policy of that UID is there, readable or not."""
        return any(one.uid == uid for some in (self.objects, self.unparsable) for one in some.values())

    @property
    def unknown(self) -> tuple[str, ...]:
        """Policies that cannot be read and never could: what their budgets allow is not known, so nothing is."""
        return tuple(sorted(one.problem for name, one in self.unparsable.items() if name not in self.facts))

    def _sort(self) -> None:
        said = {name: self._compile(one) for name, one in self.objects.items()}
        self._cache = {(one.uid, one.metadata.generation): said[name] for name, one in self.objects.items()}
        self.compiled = {name: one for name, one in said.items() if isinstance(one, CompiledPolicy)}
        self.problems = _problems(self.unparsable) | {n: one for n, one in said.items() if isinstance(one, tuple)}
        self._note_needs()
        self.facts = self._kept() | {name: self._facts(one) for name, one in self.objects.items()}

    def _note_needs(self) -> None:
        """Licence pools that rules name, and whether any asks for risk: nothing is learnt that nobody asks for."""
        rules = [rule.source for one in self.compiled.values() for rule in one.rules]
        self.seat_pools = frozenset(one.license_seat.pool for one in rules if one.license_seat is not None)
        self.needs_risk = any(one.type is RuleType.RISK_SCORE for one in rules)

    def _kept(self) -> dict[str, PolicyFacts]:
        """What was last known of policies that cannot be read any more: their budgets bind until they are deleted."""
        known = ((name, self.facts.get(name), one.uid) for name, one in self.unparsable.items())
        return {name: replace(facts, enforces=False) for name, facts, uid in known if facts and facts.uid == uid}

    def _tamed(self, one: SecurityPolicy | Unparsable) -> SecurityPolicy | Unparsable:
        if not self._read_only or isinstance(one, Unparsable):
            return one
        return one.model_copy(update={"spec": one.spec.model_copy(update={"mode": Mode.AUDIT})})

    def _compile(self, policy: SecurityPolicy) -> Found:
        known = self._cache.get((policy.uid, policy.metadata.generation))
        return known if known is not None else compile_policy(policy)

    def _facts(self, policy: SecurityPolicy) -> PolicyFacts:
        return PolicyFacts(
            name=policy.name,
            uid=policy.uid,
            generation=policy.metadata.generation,
            spec=policy.spec,
            enforces=policy.name in self.compiled and acts(policy.spec) and not policy.deleting,
        )


def _problems(unparsable: Mapping[str, Unparsable]) -> dict[str, tuple[Problem, ...]]:
    return {name: (Problem(place="spec", message=one.problem),) for name, one in unparsable.items()}
