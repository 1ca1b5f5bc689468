"""What is not known of a policy is never taken for "nothing": its budgets bind, and nothing is called off."""

from __future__ import annotations

from exuvia.app.policies import Policies
from exuvia.model.specs.security_policy import RuleType
from exuvia.observe.ours import Unparsable
from tests.app import stage
from tests.evaluate.world import node, policy, rule

OLD = rule(RuleType.MAX_AGE, {"limit": "1m"})
ODD = rule(RuleType.VERSIONS, {"kubelet": ">=1.35.2"})  # nobody's version is known: an error
UID = "uid-workers"


def unparsable(name: str = "workers", uid: str = UID) -> Unparsable:
    return Unparsable(name=name, uid=uid, resource_version="9", problem=f"{name} cannot be read", body={})


def test_budgets_of_a_policy_that_becomes_unreadable_bind_on_but_it_enforces_nothing() -> None:
    policies = Policies()
    policies.refresh([policy(OLD, disruption={"budgets": [{"name": "few", "nodes": "1"}]})])
    assert policies.refresh([unparsable()])
    assert policies.facts["workers"].spec.disruption.budgets[0].nodes == "1"
    assert not policies.facts["workers"].enforces
    assert policies.exists(UID), "it was not deleted"
    assert policies.unknown == ()


def test_one_that_never_could_be_read_holds_everything_until_it_is_mended() -> None:
    policies = Policies()
    policies.refresh([unparsable()])
    assert policies.unknown == ("workers cannot be read",)
    policies.refresh([policy(OLD)])
    assert policies.unknown == ()


def test_another_policy_of_the_same_name_does_not_lend_its_budgets() -> None:
    policies = Policies()
    policies.refresh([policy(OLD)])
    policies.refresh([unparsable(uid="another")])
    assert "workers" not in policies.facts
    assert policies.unknown


def test_before_a_machine_was_judged_by_the_policy_as_it_is_now_nobody_knows_whether_it_is_wanted() -> None:
    services, machine = stage.services(), node()
    fleet = stage.fleet(services, machine)
    services.policies.refresh([policy(OLD)])
    assert "not judged" in fleet.doubt(machine, UID)
    stage.judged(services, machine)
    assert fleet.doubt(machine, UID) == ""
    services.policies.refresh([policy(OLD, generation=2)])
    assert "not judged" in fleet.doubt(machine, UID)


def test_a_machine_that_cannot_be_judged_is_in_doubt_and_so_is_one_whose_policy_cannot_be_used() -> None:
    services, machine = stage.services(), node()
    fleet = stage.fleet(services, machine)
    services.policies.refresh([policy(ODD)])
    stage.judged(services, machine)
    assert "cannot judge" in fleet.doubt(machine, UID)
    broken = policy(rule(RuleType.IMAGE, {"allowed": ["("]}), generation=2)
    services.policies.refresh([broken])
    assert "cannot be used" in fleet.doubt(machine, UID)


def test_a_policy_in_audit_or_gone_leaves_no_doubt() -> None:
    services, machine = stage.services(), node()
    fleet = stage.fleet(services, machine)
    services.policies.refresh([policy(OLD, mode="Audit")])
    assert fleet.doubt(machine, UID) == ""
    services.policies.refresh([])
    assert fleet.doubt(machine, UID) == ""
