"""The command lines of the control plane's processes: which flags, which certificates, which ports."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from exuvia.localcluster import certificates, kubeconfigs, processes

AUDIT_LOG = "audit.log"
_KWOK_OPTIONS = """\
apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options:
  podPlayStageParallelism: 32
  nodePlayStageParallelism: 16
  nodeLeaseParallelism: 16
  enableDebuggingHandlers: true  # the defaults of KWOK are lost with a document of this kind
  podsOnNodeSyncParallelism: 4
  enablePodsOnNodeSyncListPager: true
  cidr: 10.0.0.0/24
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may differ between instances. Grace periods in seconds."""

    kwok: bool = True
    audit: bool = True
    node_monitor_grace: int = 120
    api_flags: tuple[str, ...] = ()
    controller_flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Free loopback ports of one instance."""

    etcd: int
    etcd_peer: int
    api: int
    controllers: int
    scheduler: int
    kwok: int


class Pki:
    """All certificates of one instance."""

    def __init__(self, folder: Path) -> None:
        self.authority = certificates.Authority(folder, "ca")
        self.front_authority = certificates.Authority(folder, "front-proxy-ca")
        self.front = self.front_authority.issue("front-proxy", "front-proxy-client")
        self.server = self.authority.issue("apiserver", "kube-apiserver", server=True)
        self.kubelet_client = self.authority.issue("kubelet-client", "kube-apiserver-kubelet", ["system:masters"])
        self.accounts = certificates.service_account_key(folder)
        self.kwok_server = self.authority.issue("kwok-server", "kwok", server=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All that the command lines of one instance are made from."""

    folder: Path
    binaries: Path
    options: Options
    ports: Ports
    pki: Pki

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://127.0.0.1:{self.ports.api}"

    def kubeconfig(self, user: str, pair: certificates.Pair) -> Path:
        """The kubeconfig of one of the control plane's own components."""
        path = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        ca = self.pki.authority.pair.certificate
        return kubeconfigs.with_certificate(path, server=self.server, ca=ca, user=user, pair=pair)


def free_ports() -> Ports:
    """Ports that were free a moment ago; a lost race shows as an early end and is tried again with others."""
    sockets = [socket.socket() for _ in range(6)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        numbers = [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
    return Ports(
        etcd=numbers[0],
        etcd_peer=numbers[1],
        api=numbers[2],
        controllers=numbers[3],
        scheduler=numbers[4],
        kwok=numbers[5],
    )


def _spec(layout: Layout, name: str, flags: dict[str, Any], extra: Sequence[str] = ()) -> processes.Spec:
    command = (str(layout.binaries / name), *(f"--{key}={value}" for key, value in flags.items()), *extra)
    return processes.Spec(name=name, command=command, log=layout.folder / "logs" / f"{name}.log")


def etcd(layout: Layout) -> processes.Spec:
    """The store. Nothing is synced to disk: it is for tests and for looking around."""
    client, peer = f"http://127.0.0.1:{layout.ports.etcd}", f"http://127.0.0.1:{layout.ports.etcd_peer}"
    flags = {
        "data-dir": layout.folder / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "unsafe-no-fsync": "true",
        "quota-backend-bytes": 4 * 1024**3,
        "auto-compaction-retention": "5m",
        "log-level": "warn",
    }
    return _spec(layout, "etcd", flags)


def apiserver(layout: Layout) -> processes.Spec:
    """The API server, with RBAC, NodeRestriction, and an audit log where it is asked for."""
    options = layout.options
    flags = _serving(layout) | _accounts(layout.pki) | _front_proxy(layout.pki) | _kubelets(layout.pki)
    if options.audit:
        policy = layout.folder / "audit-policy.yaml"
        policy.write_bytes((resources.files("exuvia.localcluster") / "audit-policy.yaml").read_bytes())
        log = layout.folder / AUDIT_LOG
        flags |= {"audit-policy-file": policy, "audit-log-path": log, "audit-log-mode": "blocking"}
    return _spec(layout, "kube-apiserver", flags, options.api_flags)


def _serving(layout: Layout) -> dict[str, Any]:
    pki = layout.pki
    return {
        "etcd-servers": f"http://127.0.0.1:{layout.ports.etcd}",
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": layout.ports.api,
        "endpoint-reconciler-type": "none",  # a loopback address cannot go into the Endpoints of `kubernetes`
        "tls-cert-file": pki.server.certificate,
        "tls-private-key-file": pki.server.key,
        "client-ca-file": pki.authority.pair.certificate,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "anonymous-auth": "false",
        "service-cluster-ip-range": "10.96.0.0/16",
        "max-requests-inflight": 800,
        "max-mutating-requests-inflight": 400,
        "shutdown-delay-duration": "0s",
    }


def _accounts(pki: Pki) -> dict[str, Any]:
    return {
        "service-account-key-file": pki.accounts.certificate,
        "service-account-signing-key-file": pki.accounts.key,
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
    }


def _front_proxy(pki: Pki) -> dict[str, Any]:
    """Without these the controller manager complains for ever."""
    return {
        "requestheader-client-ca-file": pki.front_authority.pair.certificate,
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": pki.front.certificate,
        "proxy-client-key-file": pki.front.key,
    }


def _kubelets(pki: Pki) -> dict[str, Any]:
    """How KWOK is reached for the logs of simulated pods."""
    return {
        "kubelet-client-certificate": pki.kubelet_client.certificate,
        "kubelet-client-key": pki.kubelet_client.key,
        "kubelet-certificate-authority": pki.authority.pair.certificate,
        "kubelet-preferred-address-types": "InternalIP,Hostname",
    }


def controllers(layout: Layout) -> processes.Spec:
    """The controller manager; its disruption controller fills the status of PodDisruptionBudgets."""
    user, pki = "system:kube-controller-manager", layout.pki
    flags = {
        "kubeconfig": layout.kubeconfig(user, pki.authority.issue("controller-manager", user)),
        "bind-address": "127.0.0.1",
        "secure-port": layout.ports.controllers,
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": pki.accounts.key,
        "root-ca-file": pki.authority.pair.certificate,
        "cluster-signing-cert-file": pki.authority.pair.certificate,
        "cluster-signing-key-file": pki.authority.pair.key,
        "node-monitor-grace-period": f"{layout.options.node_monitor_grace}s",
        "kube-api-qps": 200,
        "kube-api-burst": 400,
    }
    return _spec(layout, "kube-controller-manager", flags, layout.options.controller_flags)


def scheduler(layout: Layout) -> processes.Spec:
    """The scheduler, fast enough to fill a thousand machines in seconds."""
    user = "system:kube-scheduler"
    config = layout.folder / "scheduler.yaml"
    kubeconfig = layout.kubeconfig(user, layout.pki.authority.issue("scheduler", user))
    config.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        f"clientConnection: {{kubeconfig: {kubeconfig}, qps: 1000, burst: 1000}}\n"
        "leaderElection: {leaderElect: false}\n",
        encoding="utf-8",
    )
    flags = {"config": config, "bind-address": "127.0.0.1", "secure-port": layout.ports.scheduler}
    return _spec(layout, "kube-scheduler", flags)


def kwok(layout: Layout) -> processes.Spec:
    """What plays the kubelets of nodes with the annotation `kwok.x-k8s.io/node=fake`."""
    pki, folder = layout.pki, layout.folder
    config = folder / "kwok.yaml"
    config.write_text("---\n".join(_stages(folder)), encoding="utf-8")
    flags = {
        "kubeconfig": layout.kubeconfig("kwok", pki.authority.issue("kwok", "kwok", ["system:masters"])),
        "config": config,
        "manage-all-nodes": "false",
        "manage-nodes-with-annotation-selector": "kwok.x-k8s.io/node=fake",
        "node-lease-duration-seconds": 40,
        "node-ip": "127.0.0.1",
        "node-port": layout.ports.kwok,
        "server-address": f"127.0.0.1:{layout.ports.kwok}",
        "tls-cert-file": pki.kwok_server.certificate,
        "tls-private-key-file": pki.kwok_server.key,
    }
    return _spec(layout, "kwok", flags)


def _stages(folder: Path) -> list[str]:
    """Node and pod stages, and one log file that every simulated container shows."""
    log = folder / "container.log"
    log.write_text(
        "".join(
            f"2026-01-01T00:00:{second:02d}.000000000Z stdout F simulated log line {second}\n" for second in range(20)
        ),
        encoding="utf-8",
    )
    logs = (
        "apiVersion: kwok.x-k8s.io/v1alpha1\nkind: ClusterLogs\nmetadata: {name: all}\n"
        f"spec: {{logs: [{{logsFile: {log}}}]}}\n"
    )
    files = resources.files("exuvia.localcluster") / "stages"
    return [_KWOK_OPTIONS, *((files / name).read_text(encoding="utf-8") for name in ("node.yaml", "pod.yaml")), logs]
