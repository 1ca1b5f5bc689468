"""Credentials and addresses: kubeconfig (with exec plugins), in-cluster service account. Clear words when none work."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration

from exuvia import errors

Reload = Callable[[], Awaitable[Configuration]]


async def load(kubeconfig: str = "", context: str = "") -> Configuration:
    """Where the API server is and who we are there.

    In this order: the named kubeconfig, $KUBECONFIG, the service account of the pod, ~/.kube/config.
    Raises `errors.SettingsError` that says what was tried.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG", "")
    if named or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        return await _from_file(named or str(Path.home() / ".kube" / "config"), context)
    return _in_cluster()


async def _from_file(path: str, context: str) -> Configuration:
    existing = _files(path)
    if not existing:
        raise errors.SettingsError(
            f"There is no kubeconfig at {path}.",
            remedy="Name one by --kubeconfig or KUBECONFIG, or start a cluster with `exuvia dev up`.",
        )
    configuration = _fresh()
    try:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=os.pathsep.join(existing),
            context=context or None,
            client_configuration=configuration,
            persist_config=False,
        )
    except (TypeError, AttributeError, KeyError) as trouble:  # what it stumbles over says nothing to a person
        raise errors.SettingsError(
            f"The kubeconfig {path} cannot be used: it is not of the form of a kubeconfig.",
            remedy="Check it with `kubectl config view`, or name another one by --kubeconfig.",
        ) from trouble
    except Exception as trouble:  # the loader raises many kinds: YAML, keys, exec plugins
        raise errors.SettingsError(
            f"The kubeconfig {path} cannot be used: {_first_line(trouble)}.",
            remedy="Check it with `kubectl config view`, or name a context by --context.",
        ) from trouble
    return configuration


def _files(path: str) -> list[str]:
    return [one for one in path.split(os.pathsep) if one and Path(one).expanduser().is_file()]


def _in_cluster() -> Configuration:
    configuration = _fresh()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except Exception as trouble:
        raise errors.SettingsError(
            f"The pod's service account cannot be used: {_first_line(trouble)}.",
            remedy="Mount a service account token into the pod, or name a kubeconfig.",
        ) from trouble
    return configuration


def _fresh() -> Configuration:
    made: Any = type.__call__(Configuration)
    return made  # type: ignore[no-any-return]


def _first_line(trouble: Exception) -> str:
    return (str(trouble).strip().splitlines() or [type(trouble).__name__])[0].rstrip(".")
