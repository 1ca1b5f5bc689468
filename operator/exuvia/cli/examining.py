"""What `exuvia doctor` looks at, one check a subject. A check that may not be made is `unknown`, never ok."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from exuvia import errors
from exuvia.app import leading, posture
from exuvia.app.manifests import crds, declared, names, rbac
from exuvia.cli import cluster, printing, reviewing
from exuvia.kube.client import Client
from exuvia.model import marks, resources
from exuvia.model.permissions import Duty
from exuvia.model.resources import Resource
from exuvia.model.specs import fleet_guard
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.security_policy import SecurityPolicy
from exuvia.observe import ours
from exuvia.observe.ours import Unparsable
from exuvia.record import places, queries
from exuvia.record.places import Place
from exuvia.record.reading import reading

NAMESPACE = marks.SYSTEM_NAMESPACE
OLDEST_SERVER = 30
LARGEST_SKEW = timedelta(seconds=60)
LEAST_SPACE = 1 << 30


class State(StrEnum):
    """How a check ended."""

    OK = "ok"  # it is as it must be
    UNKNOWN = "unknown"  # it could not be looked at from here
    PROBLEM = "problem"  # exuvia cannot work, or not well


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line: what was looked at, what was found, and what to do next."""

    state: State
    subject: str
    message: str
    remedy: str = ""


def ok(subject: str, message: str) -> Check:
    """It is as it must be."""
    return Check(state=State.OK, subject=subject, message=message)


def unknown(subject: str, message: str, remedy: str = "") -> Check:
    """It could not be looked at."""
    return Check(state=State.UNKNOWN, subject=subject, message=message, remedy=remedy)


def problem(subject: str, message: str, remedy: str) -> Check:
    """It is not as it must be."""
    return Check(state=State.PROBLEM, subject=subject, message=message, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Where exuvia is installed, and the Lease by which it leads."""

    namespace: str = NAMESPACE
    lease: str = marks.LEASE


async def examine(client: Client, there: Installed, now: datetime, *, as_me: bool) -> list[Check]:
    """Everything that the API server can tell, in the order in which it must be mended."""
    return [
        await _may("API server", lambda: _server(client)),
        *[await _may(f"kind {one.resource.kind}", lambda one=one: _kind(client, one)) for one in crds.DEFINITIONS],  # type: ignore[misc]
        *await _rights(client, there.namespace, as_me),
        _clock(client),
        await _may("leader", lambda: _leader(client, there, now)),
        await _may("fleet guard", lambda: _guard(client)),
        await _may("policies", lambda: _policies(client)),
    ]


async def _may(subject: str, check: Callable[[], Awaitable[Check]]) -> Check:
    """What may not be read is unknown, with the way to know."""
    try:
        return await check()
    except errors.Forbidden as trouble:
        return unknown(subject, printing.one_line(trouble.message, 160), "Run it as somebody who may read that.")
    except errors.NotFound:
        return unknown(subject, "the kind is not installed", f"Apply the kinds first: {resources.APPLY_KINDS}")


async def _server(client: Client) -> Check:
    found = await client.get(_VERSION, "") or {}
    minor = str(found.get("minor") or "").rstrip("+")
    said = f"{client.host} answers, version {found.get('gitVersion') or '?'}"
    if not minor.isdigit() or (found.get("major") == "1" and int(minor) < OLDEST_SERVER):
        return problem("API server", said, f"exuvia needs Kubernetes 1.{OLDEST_SERVER} or later; upgrade the cluster.")
    return ok("API server", said)


@dataclass(frozen=True, slots=True, kw_only=True)
class _VersionResource(Resource):
    """The server's version stands beside the API, not in it."""

    def path(self, name: str = "", *, namespace: str = "", subresource: str = "") -> str:
        return "/version"


_VERSION = _VersionResource(plural="version", kind="Info")


async def _kind(client: Client, wanted: crds.Definition) -> Check:
    manifest = crds.manifest(wanted)
    subject, name = f"kind {wanted.resource.kind}", manifest["metadata"]["name"]
    apply = f"Apply the kinds of this version: {resources.APPLY_KINDS}"
    found = await client.get(resources.CUSTOM_RESOURCE_DEFINITIONS, name)
    if found is None:
        return problem(subject, f"{name} is not installed", apply)
    conditions = {one["type"]: one["status"] for one in (found.get("status") or {}).get("conditions") or ()}
    if conditions.get("Established") != "True":
        return problem(subject, f"{name} is not served yet", "See `kubectl describe crd`, or wait a moment.")
    if not _within(manifest["spec"]["versions"], found["spec"].get("versions")):
        return problem(subject, f"{name} is of another version of exuvia", apply)
    return ok(subject, f"{name} is served, in this version")


def _within(ours_: Any, theirs: Any) -> bool:
    """Whether everything that we say stands there; the server adds defaults of its own."""
    if isinstance(ours_, Mapping):
        return isinstance(theirs, Mapping) and all(_within(value, theirs.get(key)) for key, value in ours_.items())
    if isinstance(ours_, list):
        same = isinstance(theirs, list) and len(ours_) == len(theirs)
        return same and all(_within(one, other) for one, other in zip(ours_, theirs, strict=True))
    return bool(ours_ == theirs) or (ours_ in (0, "", False) and theirs is None)


async def _rights(client: Client, namespace: str, as_me: bool) -> list[Check]:
    """One line a duty, so that an installation that only watches is not called broken."""
    user = await whose(client, namespace, as_me)
    return [
        await _may(f"rights to {duty}", lambda duty=duty: _duty(client, duty, user, namespace))  # type: ignore[misc]
        for duty in rbac.INSTALLED
    ]


async def whose(client: Client, namespace: str, as_me: bool) -> str:
    """The installed ServiceAccount, or "" for the caller."""
    if as_me or (await cluster.whoami(client)).startswith("system:serviceaccount:"):
        return ""
    try:
        found = await client.get(_SERVICE_ACCOUNTS, names.NAME, namespace=namespace)
    except errors.Forbidden:
        return ""
    return f"system:serviceaccount:{namespace}:{names.NAME}" if found else ""


async def _duty(client: Client, duty: Duty, user: str, namespace: str) -> Check:
    wanted = [one for one in declared.permissions() if one.duty is duty]
    asked = len(reviewing.rights(wanted, namespace))
    lacking = await reviewing.missing(client, wanted, user=user, namespace=namespace)
    subject, who = f"rights to {duty}", user or "you"
    if not lacking:
        return ok(subject, f"{who} may do all that is needed ({asked} rights)")
    shown = "; ".join(lacking[:4]) + (f"; and {len(lacking) - 4} more" if len(lacking) > 4 else "")
    if duty is not Duty.OBSERVE and any(one in lacking for one in _TELLING[duty]):
        return unknown(subject, f"{who} may not: this installation does not {duty}", "Apply deploy/ if it should.")
    return problem(subject, f"{who} may not {shown}", "Apply the roles: kubectl apply -k deploy/")


_SERVICE_ACCOUNTS = Resource(plural="serviceaccounts", kind="ServiceAccount", namespaced=True)
_TELLING = {
    Duty.ROTATE: ("create rotations.exuvia.dev",),
    Duty.QUARANTINE: ("create quarantines.exuvia.dev",),
}
"""The right without which a duty is not meant to be done at all (the role is not bound)."""


def _clock(client: Client) -> Check:
    skew = client.clock_skew
    said = f"differs from the API server's by {abs(skew).total_seconds():.0f} s"
    if abs(skew) >= LARGEST_SKEW:
        return problem("clock", said, "Set the clock of this machine right (NTP).")
    return ok("clock", said)


async def _leader(client: Client, there: Installed, now: datetime) -> Check:
    found = await leading.leader(client, there.namespace, there.lease)
    moment = now - client.clock_skew
    if found.works(moment):
        return ok("leader", found.said(moment))
    see = f"See `kubectl -n {there.namespace} get pods` and the operator's log; start it with `exuvia run` or deploy/."
    return problem("leader", found.said(moment), see)


async def _guard(client: Client) -> Check:
    body = await client.get(resources.FLEET_GUARDS, fleet_guard.NAME)
    if body is None:
        return unknown("fleet guard", "there is none; the operator makes it when it first starts")
    found = ours.from_body(FleetGuard, body)
    if isinstance(found, Unparsable):
        return problem("fleet guard", printing.one_line(found.problem, 160), "Correct it; nothing starts meanwhile.")
    engaged = [one.name for one in found.status.brakes if one.state == "Engaged"]
    told = {one.name: one.reason for one in found.status.brakes}
    for name in ("view", "clock", "ledger"):
        if name in engaged:
            return problem("fleet guard", f"the operator says: {told[name]}", "Mend that; nothing starts meanwhile.")
    if found.spec.uninstall is not None:
        said = f"exuvia is uninstalled, as {found.spec.uninstall.by} asked: nothing starts"
        return problem("fleet guard", said, "Take that back by `exuvia resume`, or delete deploy/.")
    if posture.only_watches(found):
        return ok("fleet guard", "the operator only watches (--read-only): it begins and ends nothing")
    if not found.status.brakes:
        return unknown("fleet guard", "no operator has said yet how the brakes stand")
    return ok("fleet guard", f"holding: {', '.join(engaged)}" if engaged else "no brake holds")


async def _policies(client: Client) -> Check:
    pages = client.pages(resources.SECURITY_POLICIES)
    found = [ours.from_body(SecurityPolicy, body) async for page in pages for body in page]
    bad = [f"{one.name}: {one.problem}" for one in found if isinstance(one, Unparsable)]
    for one in found:
        if isinstance(one, SecurityPolicy):
            bad += [
                f"{one.name}: {said.message or said.reason}"
                for said in one.status.conditions
                if said.type == "Ready" and said.status == "False"
            ]
    if bad:
        more = f"; and {len(bad) - 2} more" if len(bad) > 2 else ""
        return problem("policies", printing.one_line("; ".join(bad[:2]), 240) + more, "Check them with `exuvia lint`.")
    return ok("policies", f"{len(found)} can be used" if found else "there is none yet")


def ledger_health(place: Place, *, named: bool) -> Check:
    """Whether the ledger can be read, and when it was written last."""
    if not named and places.absent(place):
        return _elsewhere("ledger", place, "--ledger FILE-or-URL")
    try:
        with reading(place) as connection:
            last = max(
                filter(None, (queries.last_recorded(connection, one) for one in queries.clusters(connection))),
                default=None,
            )
    except errors.LedgerError as trouble:
        return problem("ledger", trouble.message, trouble.remedy or "See `exuvia ledger verify`.")
    written = f"last entry at {last:%Y-%m-%dT%H:%M:%SZ}" if last else "no entry yet"
    return ok("ledger", f"{place} can be read, {written}; `exuvia ledger verify` checks its chain")


def evidence_directory(path: Path, *, named: bool) -> Check:
    """Whether evidence can be kept there."""
    if not named and not path.exists():
        return _elsewhere("evidence", path, "--evidence-dir DIR")
    if path.exists() and not path.is_dir():
        return problem("evidence", f"{path} is no directory", "Name the operator's evidence directory.")
    if not path.exists():
        return _to_be_made(path)
    if not os.access(path, os.W_OK | os.X_OK):
        return problem("evidence", f"{path} cannot be written", "Give exuvia's user the right to write there.")
    free = shutil.disk_usage(path).free
    said = f"{path} can be written, {free / LEAST_SPACE:.1f} GiB are free"
    if free < LEAST_SPACE:
        return problem("evidence", said, "Free some space: the evidence of one machine may take some hundred MiB.")
    return ok("evidence", said)


def _to_be_made(path: Path) -> Check:
    """The operator makes it with the first evidence, where it may."""
    parent = next(one for one in path.absolute().parents if one.is_dir())
    if os.access(parent, os.W_OK | os.X_OK):
        return ok("evidence", f"{path} will be made with the first evidence")
    return problem("evidence", f"{path} is not there, and {parent} cannot be written", "Make it for exuvia's user.")


def _elsewhere(subject: str, path: Place, option: str) -> Check:
    there = f"kubectl -n {NAMESPACE} exec deploy/exuvia -- exuvia doctor"
    return unknown(
        subject, f"{path} is not on this machine", f"Run it where the operator runs ({there}), or give {option}."
    )
