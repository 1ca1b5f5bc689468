"""Which generated file holds what. Everything below crds/ and deploy/ that is made here says so in its first line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from exuvia.app.manifests import crds

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
    made: dict[str, str] = {}
    names = []
    for one in crds.DEFINITIONS:
        name = f"{one.resource.plural}.yaml"
        names.append(name)
        made[f"crds/{name}"] = dump(crds.manifest(one))
    made["crds/kustomization.yaml"] = dump(
        {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": names}
    )
    return made


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
