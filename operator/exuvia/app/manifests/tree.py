"""Which generated file holds what. Everything below crds/ and deploy/ that is made here says so in its first line."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from exuvia.app.manifests import admission, alerts, crds, declared, deployment, intake, kustomize, rbac
from exuvia.model.permissions import Duty

Manifest = dict[str, Any]
HEADER = "# Made by `make manifests` from the code. Do not edit.\n"


class _Plain(yaml.SafeDumper):
    """Block style, no aliases, multi-line strings readable."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Plain.add_representer(str, _text)


def dump(*documents: Any) -> str:
    """YAML documents, keys in the order given, with the header."""
    parts = [yaml.dump(one, Dumper=_Plain, sort_keys=False, width=110) for one in documents]
    return HEADER + "---\n".join(parts)


def files() -> dict[str, str]:
    """Every generated file by its path below the repository's root."""
    return _crds() | _deploy()


def _crds() -> dict[str, str]:
    made = {f"crds/{one.resource.plural}.yaml": dump(crds.manifest(one)) for one in crds.DEFINITIONS}
    names = [path.removeprefix("crds/") for path in made]
    return made | {"crds/kustomization.yaml": dump(kustomize.kustomization(names))}


def _deploy() -> dict[str, str]:
    """The base is a folder of its own: kustomize lets no overlay live below the base that it is made from."""
    base = _base()
    return {
        **{f"deploy/base/{name}": text for name, text in base.items()},
        "deploy/base/kustomization.yaml": dump(kustomize.kustomization(["../../crds", *base])),
        "deploy/kustomization.yaml": dump(kustomize.kustomization(["base"])),
        "deploy/overlays/read-only/kustomization.yaml": dump(kustomize.read_only("../../base")),
        "deploy/overlays/read-only/rbac.yaml": dump(*_alone(Duty.EXPLAIN)),
        **{f"deploy/components/intake/{name}": text for name, text in _intake().items()},
        "deploy/overlays/intake/kustomization.yaml": dump(
            kustomize.kustomization(["../../base"], components=["../../components/intake"])
        ),
        "deploy/alerts/exuvia.rules.yaml": dump(alerts.rules()),
    }


def _base() -> dict[str, str]:
    return {
        "namespace.yaml": dump(deployment.namespace()),
        "rbac.yaml": dump(*roles()),
        "admission.yaml": dump(*admission.manifests()),
        "deployment.yaml": dump(deployment.volume_claim(), deployment.deployment(metadata.version("exuvia"))),
        "service.yaml": dump(deployment.service()),
        "pdb.yaml": dump(deployment.disruption_budget()),
        "networkpolicy.yaml": dump(deployment.network_policy()),
    }


def roles() -> list[Manifest]:
    """ServiceAccount, roles and bindings, made from the declared rights."""
    rights = declared.permissions()
    return [
        rbac.service_account(),
        *rbac.cluster_roles(rights),
        *rbac.bindings(),
        rbac.view_role(),
        *rbac.own_namespace(rights),
    ]


def _intake() -> dict[str, str]:
    """A component, for it goes with every other installation: also with one that is read-only."""
    made = {
        "rbac.yaml": dump(*_alone(Duty.INTAKE)),
        "service.yaml": dump(intake.service()),
        "networkpolicy.yaml": dump(intake.network_policy()),
    }
    return made | {"kustomization.yaml": dump(kustomize.component(list(made), intake.changes()))}


def _alone(duty: Duty) -> list[Manifest]:
    """Role and binding of a duty that not every installation has."""
    return [*rbac.cluster_roles(declared.permissions(), (duty,)), *rbac.bindings((duty,))]


def without_workload() -> list[Manifest]:
    """All that an operator outside of the cluster needs there: CRDs, namespace, rights, admission policies."""
    kinds = [crds.manifest(one) for one in crds.DEFINITIONS]
    return [*kinds, deployment.namespace(), *roles(), *admission.manifests()]


def strangers(root: Path, made: Iterable[str]) -> list[str]:
    """Files that carry our header but are not made any more."""
    known = set(made)
    found = []
    for folder in ("crds", "deploy"):
        for path in sorted((root / folder).rglob("*.yaml")):
            name = path.relative_to(root).as_posix()
            if name not in known and path.read_text(encoding="utf-8").startswith(HEADER):
                found.append(name)
    return found
