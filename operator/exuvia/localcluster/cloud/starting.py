"""Starting the simulated cloud beside a control plane, as a process with a service account of its own."""

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from exuvia import errors
from exuvia.localcluster import processes
from exuvia.localcluster.cloud import identity
from exuvia.localcluster.cloud.server import HOST
from exuvia.localcluster.controlplane import ControlPlane

NAME = "simulated-cloud"
STATE_FILE = "cloud.json"
URL_FILE = "cloud.url"
PATIENCE = 20.0


def start(plane: ControlPlane, *, port: int = 0, state: Path | None = None, detached: bool = False) -> str:
    """Start it and return its URL when it answers. It stops with the control plane, or by `plane.stop_process(NAME)`.

    A second start with the same port and file goes on where a killed one was. `port` 0: a free one.
    Raises `errors.SettingsError` with the last lines of its log.
    """
    address = f"http://{HOST}:{port or (port := _free_port())}"
    command = (
        *(sys.executable, "-m", "exuvia.cli.main", "dev", "cloud"),
        *("--kubeconfig", str(_kubeconfig(plane)), "--port", str(port)),
        *("--state", str(state or plane.folder / STATE_FILE)),
    )
    log = plane.folder / "logs" / f"{NAME}.log"
    running = plane.spawn(processes.Spec(name=NAME, command=command, log=log), detached=detached)
    _await(address, running, log)
    (plane.folder / URL_FILE).write_text(address, encoding="utf-8")
    return address


def url(plane: ControlPlane) -> str:
    """The URL of the cloud that runs beside a control plane, or "" when none does."""
    if not plane.components().get(NAME):
        return ""
    return (plane.folder / URL_FILE).read_text(encoding="utf-8")


def _kubeconfig(plane: ControlPlane) -> Path:
    """Apply who it is, and make a kubeconfig for that service account."""
    bodies = {"apiVersion": "v1", "kind": "List", "items": identity.manifests()}
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(bodies))
    return plane.service_account_kubeconfig(identity.NAMESPACE, identity.NAME)


def _await(url: str, running: processes.Identity, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while running.alive() and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    raise errors.SettingsError(f"The simulated cloud did not start: {' | '.join(lines)}", remedy=f"Its log is {log}.")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])
