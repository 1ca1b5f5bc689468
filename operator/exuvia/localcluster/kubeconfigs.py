"""kubeconfig files for the identities of a local control plane."""

from __future__ import annotations

from pathlib import Path

import yaml

from exuvia.localcluster.certificates import Pair


def with_certificate(path: Path, *, server: str, ca: Path, user: str, pair: Pair) -> Path:
    """A kubeconfig that authenticates by a client certificate."""
    credentials = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
    return _write(path, server, ca, user, credentials)


def with_token(path: Path, *, server: str, ca: Path, user: str, token: str) -> Path:
    """A kubeconfig that authenticates by a bearer token."""
    return _write(path, server, ca, user, {"token": token})


def _write(path: Path, server: str, ca: Path, user: str, credentials: dict[str, str]) -> Path:
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": user}}],
        "current-context": "local",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(body), encoding="utf-8")
    return path
