"""Settings of one operator process, read once. Every one is an option of `exuvia run` and a variable `EXUVIA_*`."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from exuvia.model import marks


def _identity() -> str:
    """Unique to the process: a restarted container must never be taken for its predecessor."""
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the process was told. Durations are the Kubernetes defaults for leader election (15 s / 10 s / 2 s)."""

    kubeconfig: str = ""
    context: str = ""
    ledger: str = field(default="/var/lib/exuvia/ledger.db", repr=False)  # a URL may have a password in it
    anchor_public_key: str = ""
    evidence_dir: Path = Path("/var/lib/exuvia/evidence")
    simulated_cloud: str = ""
    http_host: str = "0.0.0.0"
    http_port: int = 8080
    intake_cert: str = ""
    intake_key: str = ""
    intake_port: int = 8443
    namespace: str = marks.SYSTEM_NAMESPACE
    lease_name: str = marks.LEASE
    lease_duration: timedelta = timedelta(seconds=15)
    renew_deadline: timedelta = timedelta(seconds=10)
    retry_period: timedelta = timedelta(seconds=2)
    request_timeout: timedelta = timedelta(seconds=4)
    full_sweep: timedelta = timedelta(minutes=10)
    read_only: bool = False
    pinned: str = ""
    cluster_name: str = ""
    reclaim_hosts: str = ""
    reclaim_token_file: str = ""
    log_format: str = "json"
    verbose: bool = False
    identity: str = field(default_factory=_identity)
    pod_uid: str = field(default_factory=lambda: os.environ.get("POD_UID", ""))
    pod_name: str = field(default_factory=lambda: os.environ.get("POD_NAME", ""))
    pod_namespace: str = field(default_factory=lambda: os.environ.get("POD_NAMESPACE", ""))
    node_name: str = field(default_factory=lambda: os.environ.get("NODE_NAME", ""))

    @property
    def patience(self) -> timedelta:
        """How long one request may take: it lies inside the margin between the end of leading and that of the lease."""
        return min(self.request_timeout, (self.lease_duration - self.renew_deadline) * 0.8)
