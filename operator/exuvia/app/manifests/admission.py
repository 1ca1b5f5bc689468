"""The four ValidatingAdmissionPolicies of safety.md: what the API server refuses even to those who hold the right.

(a) `exuvia-kubelets`: a node must not lift its own quarantine. (b) `exuvia-operator`: a stolen operator token changes
of a Node only our marks. (c) `exuvia-authors`: nobody signs with another's name. (d) `exuvia-records`: exuvia alone
writes what became of an operation, and removes a quarantine that is not released; one that it let go, as when it is
uninstalled, is everybody's who may delete it.

Every look into a map or an optional field is guarded: an expression that fails refuses, and a refused heartbeat would
make a node NotReady.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from exuvia.app.manifests import names
from exuvia.model import marks
from exuvia.model.specs import fleet_guard
from exuvia.model.specs.quarantine import QuarantinePhase

_API = "admissionregistration.k8s.io"
_PREFIX = f"{marks.GROUP}/"
_IS_EXUVIA = f"request.userInfo.username == '{marks.SERVICE_ACCOUNT_USER}'"

Variables = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One validation: `expression` must be true, else `message` (CEL when `computed`) is the answer."""

    expression: str
    message: str
    computed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One policy: which requests it looks at, whose (CEL; "" is everybody's), named values, and its checks."""

    name: str
    about: str
    group: str
    resources: tuple[str, ...]
    operations: tuple[str, ...]
    subject: str = ""
    variables: Variables = ()
    checks: tuple[Check, ...]


def _strings(values: Iterable[str]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


def _both(name: str, path: str, absent: str) -> Variables:
    """Two variables: a field as it shall be, and as `was…` it is now. `absent` where there is none, as on CREATE."""
    former = f"was{name[0].upper()}{name[1:]}"
    return (
        (name, f"object.{path}.orValue({absent})"),
        (former, f"oldObject == null ? {absent} : oldObject.{path}.orValue({absent})"),
    )


_MARKS: Variables = (
    *_both("labels", "metadata.?labels", "{}"),
    *_both("annotations", "metadata.?annotations", "{}"),
    *_both("taints", "?spec.?taints", "[]"),
    *_both("cordoned", "?spec.?unschedulable", "false"),
)


def _keys(new: str, old: str, which: str) -> str:
    """CEL: keys `k` of a map for which `which` holds and that are set, changed or removed."""
    return (
        f"variables.{new}.filter(k, {which} && !(k in variables.{old} && variables.{old}[k] == variables.{new}[k]))"
        f" + variables.{old}.filter(k, {which} && !(k in variables.{new}))"
    )


def _taints(which: str) -> str:
    """CEL: taints `t` for which `which` holds and that are added, changed or removed."""
    return (
        f"variables.taints.filter(t, {which} && !(t in variables.wasTaints))"
        f" + variables.wasTaints.filter(t, {which} && !(t in variables.taints))"
    )


def _none(variable: str, what: str) -> Check:
    """The list of touched keys must be empty; the answer names them."""
    return Check(
        expression=f"variables.{variable}.size() == 0",
        message=f"'{what}: ' + variables.{variable}.join(', ')",
        computed=True,
    )


def _kubelets() -> Guard:
    guarded = f"(k.startsWith('{_PREFIX}') || k in {_strings(marks.FOREIGN_OPT_OUTS)})"
    joins = f"(request.operation == 'CREATE' && k == '{marks.POOL_LABEL}')"
    ours = f"t.key.startsWith('{_PREFIX}')"
    balancers = f"'{marks.EXCLUDE_LOAD_BALANCERS_LABEL}'"
    return Guard(
        name="exuvia-kubelets",
        about="a node may not set or lift exuvia's marks on itself, nor uncordon itself while it bears our taint",
        group="",
        resources=("nodes", "nodes/status"),
        operations=("CREATE", "UPDATE"),
        subject="request.userInfo.?groups.orValue([]).exists(g, g == 'system:nodes')",
        variables=(
            *_MARKS,
            ("touchedLabels", _keys("labels", "wasLabels", f"{guarded} && !{joins}")),
            ("touchedAnnotations", _keys("annotations", "wasAnnotations", guarded)),
            ("touchedTaints", _taints(ours)),
            ("marked", f"variables.wasTaints.exists(t, {ours})"),
        ),
        checks=(
            _none("touchedLabels", "a kubelet may not change these labels of a node"),
            _none("touchedAnnotations", "a kubelet may not change these annotations of a node"),
            Check(
                expression="variables.touchedTaints.size() == 0",
                message=f"a kubelet may not change taints of {marks.GROUP}",
            ),
            Check(
                expression="!(variables.marked && variables.wasCordoned) || variables.cordoned",
                message=f"a kubelet may not uncordon a node that bears a taint of {marks.GROUP}; exuvia does so when "
                "its operation ends",
            ),
            Check(
                expression=f"!(variables.marked && {balancers} in variables.wasLabels) "
                f"|| {balancers} in variables.labels",
                message=f"a kubelet may not take {marks.EXCLUDE_LOAD_BALANCERS_LABEL} off a node that bears a taint of "
                f"{marks.GROUP}",
            ),
        ),
    )


_NODE_SPEC_KEPT = ("podCIDR", "podCIDRs", "providerID", "externalID", "configSource")


def _operator() -> Guard:
    labels = _strings((marks.STATE_LABEL, marks.KUBELET_PROOF_LABEL, marks.EXCLUDE_LOAD_BALANCERS_LABEL))
    annotations = _strings((marks.OPERATION_ANNOTATION, *marks.FOREIGN_OPT_OUTS))
    own_taints = _strings((marks.ROTATING_TAINT, marks.QUARANTINED_TAINT))
    return Guard(
        name="exuvia-operator",
        about="exuvia changes of a Node only unschedulable and the marks of an operation",
        group="",
        resources=("nodes", "nodes/status"),
        operations=("CREATE", "UPDATE"),
        subject=_IS_EXUVIA,
        variables=(
            *_MARKS,
            *_both("owners", "metadata.?ownerReferences", "[]"),
            *_both("finalizers", "metadata.?finalizers", "[]"),
            ("touchedLabels", _keys("labels", "wasLabels", f"!(k in {labels})")),
            ("touchedAnnotations", _keys("annotations", "wasAnnotations", f"!(k in {annotations})")),
            ("touchedTaints", _taints(f"!(t.key in {own_taints})")),
        ),
        checks=(
            Check(expression="request.operation == 'UPDATE'", message="exuvia does not create Nodes"),
            _none("touchedLabels", "exuvia may not change these labels of a node"),
            _none("touchedAnnotations", "exuvia may not change these annotations of a node"),
            Check(
                expression="variables.touchedTaints.size() == 0",
                message=f"exuvia may change its own taints only: {marks.ROTATING_TAINT}, {marks.QUARANTINED_TAINT}",
            ),
            Check(
                expression=f"variables.taints.all(t, t in variables.wasTaints || !(t.key in {own_taints}) "
                f"|| t.effect == '{marks.TAINT_EFFECT}')",
                message=f"a taint of exuvia is {marks.TAINT_EFFECT}, never NoExecute",
            ),
            Check(
                expression="variables.owners == variables.wasOwners && variables.finalizers == variables.wasFinalizers",
                message="exuvia may not change owners or finalizers of a node",
            ),
            Check(
                expression="oldObject == null || "
                + "("
                + " && ".join(f"object.?spec.?{field} == oldObject.?spec.?{field}" for field in _NODE_SPEC_KEPT)
                + ")",
                message="exuvia may change of a node's spec only unschedulable and taints",
            ),
            Check(
                expression="oldObject == null || object.?status == oldObject.?status",
                message="exuvia may not change the status of a node",
            ),
        ),
    )


_SPEC_KEPT = ("instance", "policy", "rule", "severity", "reason", "requestedBy", "inheritedFrom", "releasedFrom")


def _authors() -> Guard:
    me = "request.userInfo.username"
    release, was_release = "variables.spec.?release", "variables.wasSpec.?release"
    return Guard(
        name="exuvia-authors",
        about="who asked for an operation or released a machine is the user who wrote it; the rest of it is fixed",
        group=marks.GROUP,
        resources=("rotations", "quarantines"),
        operations=("CREATE", "UPDATE"),
        variables=(
            ("spec", "dyn(object).?spec.orValue({})"),
            ("wasSpec", "oldObject == null ? dyn({}) : dyn(oldObject).?spec.orValue({})"),
        ),
        checks=(
            Check(
                expression="!variables.spec.?requestedBy.hasValue() "
                "|| variables.spec.?requestedBy == variables.wasSpec.?requestedBy "
                f"|| variables.spec.requestedBy == {me}",
                message=f"'spec.requestedBy must be your own user name, ' + {me} + ', or left out'",
                computed=True,
            ),
            Check(
                expression=f"!{release}.hasValue() || {release} == {was_release} || {release}.?by.orValue('') == {me}",
                message=f"'spec.release.by must be your own user name, ' + {me}",
                computed=True,
            ),
            Check(
                expression="oldObject == null || ("
                + " && ".join(f"variables.spec.?{field} == variables.wasSpec.?{field}" for field in _SPEC_KEPT)
                + ")",
                message="of an operation's spec only abort and release may change; make another operation",
            ),
            Check(
                expression=f"oldObject != null || {_IS_EXUVIA} || (!variables.spec.?inheritedFrom.hasValue() "
                "&& !variables.spec.?releasedFrom.hasValue())",
                message="spec.inheritedFrom and spec.releasedFrom are set by exuvia only; leave them out",
            ),
        ),
    )


def _held(which: str) -> str:
    """CEL: whether our finalizer is on it. Without it exuvia did nothing yet, or let it go."""
    return f"{which} != null && '{marks.FINALIZER}' in dyn({which}).?metadata.?finalizers.orValue([])"


def _records() -> Guard:
    ended = _strings(phase.value for phase in QuarantinePhase if phase.ended)
    uninstalls = f"authorizer.group('{marks.GROUP}').resource('fleetguards').name('{fleet_guard.NAME}').check('patch')"
    return Guard(
        name="exuvia-records",
        about="exuvia alone writes what became of an operation, and removes a quarantine that is not released",
        group=marks.GROUP,
        resources=("rotations/status", "quarantines/status", "quarantines"),
        operations=("UPDATE", "DELETE"),
        variables=(
            (
                "phase",
                "oldObject == null ? '' : dyn(oldObject).?status.?phase.orValue('Pending')",
            ),
            ("held", _held("object")),
            ("wasHeld", _held("oldObject")),
        ),
        checks=(
            Check(
                expression=f"request.?subResource.orValue('') != 'status' || {_IS_EXUVIA}",
                message="the status of an operation is written by exuvia only",
            ),
            Check(
                # A deletion of a collection asks once without an object, and then for each of them.
                expression=f"request.operation != 'DELETE' || oldObject == null || {_IS_EXUVIA} "
                f"|| variables.phase in {ended} || !variables.wasHeld",
                message="a quarantine is not deleted before it was released: `exuvia release`, or write spec.release",
            ),
            Check(
                expression=f"request.operation != 'UPDATE' || {_IS_EXUVIA} || variables.phase in {ended} "
                f"|| !variables.wasHeld || variables.held || {uninstalls}.allowed()",
                message=f"{marks.FINALIZER} is taken off a quarantine that is not released by who may uninstall exuvia "
                "only (patch FleetGuard default): `exuvia uninstall`",
            ),
        ),
    )


GUARDS: tuple[Guard, ...] = (_kubelets(), _operator(), _authors(), _records())


def policy(guard: Guard) -> dict[str, Any]:
    """The ValidatingAdmissionPolicy. It fails closed: what cannot be judged is refused."""
    group, version = (guard.group, "*") if guard.group else ("", "v1")
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [group],
                    "apiVersions": [version],
                    "operations": list(guard.operations),
                    "resources": list(guard.resources),
                }
            ]
        },
    }
    if guard.subject:
        spec["matchConditions"] = [{"name": "subject", "expression": guard.subject}]
    if guard.variables:
        spec["variables"] = [{"name": name, "expression": expression} for name, expression in guard.variables]
    spec["validations"] = [_validation(one) for one in guard.checks]
    return names.head(f"{_API}/v1", "ValidatingAdmissionPolicy", guard.name, about=guard.about) | {"spec": spec}


def _validation(check: Check) -> dict[str, Any]:
    said = "messageExpression" if check.computed else "message"
    return {"expression": check.expression, said: check.message, "reason": "Forbidden"}


def binding(guard: Guard) -> dict[str, Any]:
    """The ValidatingAdmissionPolicyBinding: everywhere, and what fails is denied."""
    spec = {"policyName": guard.name, "validationActions": ["Deny"]}
    return names.head(f"{_API}/v1", "ValidatingAdmissionPolicyBinding", guard.name) | {"spec": spec}


def manifests() -> list[dict[str, Any]]:
    """Policies and bindings, side by side."""
    return [made for guard in GUARDS for made in (policy(guard), binding(guard))]
