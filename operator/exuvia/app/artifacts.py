"""What is known to be in the images that run, by image: the newest report of each counts.

A report that is deleted is no fix: what it said stands for as long as its image runs somewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

from exuvia.model.pods import Pod
from exuvia.observe.reports import Found, Report


@dataclass(slots=True, kw_only=True)
class Artifact:
    """One image. `reports`: UIDs of those that tell of it now; `workload`: whose image it is, the same for all versions
    of it."""

    updated: datetime
    workload: str
    found: dict[str, Found]
    reports: set[str] = field(default_factory=set)


class Artifacts:
    """Images by key: their digest, or owner and container where a report names no digest."""

    def __init__(self) -> None:
        self._known: dict[str, Artifact] = {}
        self._of_report: dict[str, str] = {}
        self._of_workload: dict[str, set[str]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def get(self, key: str) -> Artifact | None:
        """What is known of an image, or None."""
        return self._known.get(key)

    def put(self, report: Report) -> set[str]:
        """A report as it is now. Keys of the images of which something else is known than before."""
        key, touched = key_of(report), set[str]()
        former = self._of_report.get(report.uid)
        if former is not None and former != key:
            self._known[former].reports.discard(report.uid)
        self._of_report[report.uid] = key
        known = self._known.get(key)
        if known is None or known.updated <= report.updated:
            found = {one.id: one for one in report.found}
            if known is None or known.found != found:
                touched.add(key)
            reports = known.reports if known else set()
            workload = workload_of_report(report)
            self._known[key] = Artifact(updated=report.updated, workload=workload, found=found, reports=reports)
            self._of_workload.setdefault(workload, set()).add(key)
        self._known[key].reports.add(report.uid)
        return touched

    def drop(self, report_uid: str) -> None:
        """A report is gone."""
        key = self._of_report.pop(report_uid, None)
        if key is not None:
            self._known[key].reports.discard(report_uid)

    def forget(self, runs: Callable[[str], bool]) -> None:
        """Images that no report tells of any more and that run nowhere."""
        for key in [one for one, known in self._known.items() if not known.reports and not runs(one)]:
            workload = self._known.pop(key).workload
            self._of_workload[workload].discard(key)
            if not self._of_workload[workload]:
                del self._of_workload[workload]

    def versions(self, workload: str) -> frozenset[str]:
        """Keys of the images of a workload."""
        return frozenset(self._of_workload.get(workload, ()))

    def highest(self, vulnerabilities: AbstractSet[str]) -> dict[str, Found]:
        """Of each of them, what the report says that scores it highest; those that none scores are left out."""
        best: dict[str, Found] = {}
        for artifact in self._known.values():
            for id_ in vulnerabilities & artifact.found.keys() if artifact.reports else ():
                found, former = artifact.found[id_], best.get(id_)
                if found.score and (former is None or float(found.score) > float(former.score)):
                    best[id_] = found
        return best


def key_of(report: Report) -> str:
    """The key of the image that a report tells of."""
    return report.digest or f"{report.owner_uid}/{report.container}"


def keys_of(pod: Pod, digests: Iterable[str]) -> list[str]:
    """Keys of the images that a pod runs."""
    owned = [f"{pod.owner.uid}/{one}" for one in pod.containers] if pod.owner else []
    return [*(one for one in digests if one), *owned]


def workload_of_report(report: Report) -> str:
    """`namespace/kind/name/container` of what runs it. The ReplicaSets of a Deployment bear its name and a hash."""
    kind, name = report.owner_kind, report.owner_name
    if kind == "ReplicaSet":
        kind, name = "Deployment", name.rpartition("-")[0]
    return f"{report.namespace}/{kind}/{name}/{report.container}"
