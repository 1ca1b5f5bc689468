"""etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK as child processes on loopback.

Several instances live side by side: each has its own folder, ports, CA and pids. Start one from a thread that lives as
long as it shall: the kernel kills its children when the starting thread ends.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from exuvia import errors
from exuvia.localcluster import certificates, kubeconfigs, processes

START_PATIENCE = 60.0
ATTEMPTS = 3
STATE_FILE = "state.json"


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


@dataclass(slots=True)
class _Running:
    ports: Ports
    identities: list[processes.Identity] = field(default_factory=list)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)


class ControlPlane:
    """One control plane in one folder. A context manager; `start` and `stop` for those who keep it."""

    def __init__(self, folder: Path, binaries: Path, options: Options | None = None) -> None:
        self.folder = folder.resolve()
        self.binaries = binaries
        self.options = options or Options()
        self.audit_log = self.folder / "audit.log"
        self.kubeconfig = self.folder / "admin.kubeconfig"
        self._pki = self.folder / "pki"
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.stop()

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://127.0.0.1:{self._now().ports.api}"

    @property
    def ca(self) -> Path:
        """The certificate of the instance's CA."""
        return self._pki / "ca.crt"

    def start(self, *, detached: bool = False) -> None:
        """Up and ready, or `errors.SettingsError` with the last lines of the log that matters."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            self._running = _Running(ports=_free_ports())
            try:
                self._start_all(detached=detached)
                return
            except errors.SettingsError:
                self.stop()
                if attempt == ATTEMPTS:
                    raise
                shutil.rmtree(self.folder / "etcd", ignore_errors=True)

    def stop(self) -> None:
        """Stop every process by pid and see it gone. Stopped already is fine."""
        if self._running is None:
            return
        order = list(reversed(self._running.identities))
        processes.stop([one for one in order if one.name not in ("etcd", "kube-apiserver")], patience=5)
        processes.stop([one for one in order if one.name == "kube-apiserver"], patience=12)
        processes.stop([one for one in order if one.name == "etcd"], patience=5)
        for child in self._running.children:
            child.wait()
        self._running = None
        (self.folder / STATE_FILE).unlink(missing_ok=True)

    @classmethod
    def attach(cls, folder: Path, binaries: Path) -> ControlPlane | None:
        """The detached instance that runs in a folder, or None."""
        try:
            state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        found = cls(folder, binaries)
        identities = [processes.Identity(**one) for one in state["processes"]]
        found._running = _Running(ports=Ports(**state["ports"]), identities=identities)
        return found

    def components(self) -> dict[str, bool]:
        """Each process by name, and whether it runs."""
        return {one.name: one.alive() for one in self._now().identities}

    def kubectl(self, *arguments: str, kubeconfig: Path | None = None, stdin: str = "", check: bool = True) -> str:
        """Run kubectl as the admin (or another identity). With `check`, CalledProcessError carries stderr."""
        done = self.kubectl_run(*arguments, kubeconfig=kubeconfig, stdin=stdin)
        if check and done.returncode:
            raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
        return done.stdout

    def kubectl_run(
        self, *arguments: str, kubeconfig: Path | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return what came of it, whatever its exit code."""
        return subprocess.run(
            [str(self.binaries / "kubectl"), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KUBECONFIG": str(kubeconfig or self.kubeconfig)},
        )

    def issue_kubeconfig(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for any user and groups, by a client certificate."""
        file = "".join(c if c.isalnum() or c in "-." else "_" for c in f"user-{user}-{'-'.join(groups)}")
        pair = certificates.Authority(self._pki, "ca").issue(file, user, groups)
        path = self.folder / f"{file}.kubeconfig"
        return kubeconfigs.with_certificate(path, server=self.server, ca=self.ca, user=user, pair=pair)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig for a service account, by TokenRequest (valid for a day)."""
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration=24h").strip()
        path = self.folder / f"sa-{namespace}-{name}.kubeconfig"
        return kubeconfigs.with_token(path, server=self.server, ca=self.ca, user=name, token=token)

    def _now(self) -> _Running:
        if self._running is None:
            raise errors.SettingsError("The control plane does not run.", remedy="Start it first.")
        return self._running

    def _start_all(self, *, detached: bool) -> None:
        ports = self._now().ports
        pki = _Pki(self._pki)
        admin = pki.authority.issue("admin", "admin", ["system:masters"])
        kubeconfigs.with_certificate(self.kubeconfig, server=self.server, ca=self.ca, user="admin", pair=admin)
        self._spawn(_etcd(self.binaries, self.folder, ports), detached)
        self._spawn(_apiserver(self.binaries, self.folder, ports, pki, self.options), detached)
        self._await("/readyz", admin)
        self._spawn(_controllers(self, ports, pki), detached)
        self._spawn(_scheduler(self, ports, pki), detached)
        if self.options.kwok:
            self._spawn(_kwok(self, ports, pki), detached)
        self._await("/api/v1/namespaces/default/serviceaccounts/default", admin)
        self._save()

    def _spawn(self, spec: processes.Spec, detached: bool) -> None:
        child, identity = processes.start(spec, detached=detached)
        self._now().children.append(child)
        self._now().identities.append(identity)

    def _await(self, path: str, admin: certificates.Pair) -> None:
        """Poll until the path answers 200; a process that ended meanwhile is named with its last lines."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(admin.certificate, admin.key)
        deadline = time.monotonic() + START_PATIENCE
        while time.monotonic() < deadline:
            self._check_alive()
            try:
                with urllib.request.urlopen(self.server + path, context=context, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise errors.SettingsError(
            f"The control plane was not ready within {START_PATIENCE:.0f} s.",
            remedy=f"Look at the logs in {self.folder / 'logs'}.",
        )

    def _check_alive(self) -> None:
        for one in self._now().identities:
            if not one.alive():
                log = self.folder / "logs" / f"{one.name}.log"
                lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
                raise errors.SettingsError(f"{one.name} ended: {' | '.join(lines)}", remedy=f"The whole log is {log}.")

    def _save(self) -> None:
        running = self._now()
        state = {"ports": asdict(running.ports), "processes": [asdict(one) for one in running.identities]}
        (self.folder / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")

    def component_kubeconfig(self, user: str, pair: certificates.Pair) -> Path:
        """The kubeconfig of one of the control plane's own components."""
        path = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        return kubeconfigs.with_certificate(path, server=self.server, ca=self.ca, user=user, pair=pair)


class _Pki:
    """All certificates of one instance."""

    def __init__(self, folder: Path) -> None:
        self.authority = certificates.Authority(folder, "ca")
        self.front_authority = certificates.Authority(folder, "front-proxy-ca")
        self.front = self.front_authority.issue("front-proxy", "front-proxy-client")
        self.server = self.authority.issue("apiserver", "kube-apiserver", server=True)
        self.kubelet_client = self.authority.issue("kubelet-client", "kube-apiserver-kubelet", ["system:masters"])
        self.accounts = certificates.service_account_key(folder)
        self.kwok_server = self.authority.issue("kwok-server", "kwok", server=True)


def _free_ports() -> Ports:
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


def _spec(binaries: Path, folder: Path, name: str, flags: dict[str, Any], extra: Sequence[str] = ()) -> processes.Spec:
    command = (str(binaries / name), *(f"--{key}={value}" for key, value in flags.items()), *extra)
    return processes.Spec(name=name, command=command, log=folder / "logs" / f"{name}.log")


def _etcd(binaries: Path, folder: Path, ports: Ports) -> processes.Spec:
    client, peer = f"http://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
    flags = {
        "data-dir": folder / "etcd",
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
    return _spec(binaries, folder, "etcd", flags)


def _apiserver(binaries: Path, folder: Path, ports: Ports, pki: _Pki, options: Options) -> processes.Spec:
    accounts = pki.accounts
    flags = {
        "etcd-servers": f"http://127.0.0.1:{ports.etcd}",
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": ports.api,
        "endpoint-reconciler-type": "none",
        "tls-cert-file": pki.server.certificate,
        "tls-private-key-file": pki.server.key,
        "client-ca-file": pki.authority.pair.certificate,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "anonymous-auth": "false",
        "service-account-key-file": accounts.certificate,
        "service-account-signing-key-file": accounts.key,
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-cluster-ip-range": "10.96.0.0/16",
        "requestheader-client-ca-file": pki.front_authority.pair.certificate,
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": pki.front.certificate,
        "proxy-client-key-file": pki.front.key,
        "kubelet-client-certificate": pki.kubelet_client.certificate,
        "kubelet-client-key": pki.kubelet_client.key,
        "kubelet-certificate-authority": pki.authority.pair.certificate,
        "kubelet-preferred-address-types": "InternalIP,Hostname",
        "max-requests-inflight": 800,
        "max-mutating-requests-inflight": 400,
        "shutdown-delay-duration": "0s",
    }
    if options.audit:
        policy = folder / "audit-policy.yaml"
        policy.write_bytes((resources.files("exuvia.localcluster") / "audit-policy.yaml").read_bytes())
        flags |= {"audit-policy-file": policy, "audit-log-path": folder / "audit.log", "audit-log-mode": "blocking"}
    return _spec(binaries, folder, "kube-apiserver", flags, options.api_flags)


def _controllers(plane: ControlPlane, ports: Ports, pki: _Pki) -> processes.Spec:
    user = "system:kube-controller-manager"
    flags = {
        "kubeconfig": plane.component_kubeconfig(user, pki.authority.issue("controller-manager", user)),
        "bind-address": "127.0.0.1",
        "secure-port": ports.controllers,
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": pki.accounts.key,
        "root-ca-file": pki.authority.pair.certificate,
        "cluster-signing-cert-file": pki.authority.pair.certificate,
        "cluster-signing-key-file": pki.authority.pair.key,
        "node-monitor-grace-period": f"{plane.options.node_monitor_grace}s",
        "kube-api-qps": 200,
        "kube-api-burst": 400,
    }
    return _spec(plane.binaries, plane.folder, "kube-controller-manager", flags, plane.options.controller_flags)


def _scheduler(plane: ControlPlane, ports: Ports, pki: _Pki) -> processes.Spec:
    user = "system:kube-scheduler"
    config = plane.folder / "scheduler.yaml"
    kubeconfig = plane.component_kubeconfig(user, pki.authority.issue("scheduler", user))
    config.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        f"clientConnection: {{kubeconfig: {kubeconfig}, qps: 1000, burst: 1000}}\n"
        "leaderElection: {leaderElect: false}\n",
        encoding="utf-8",
    )
    flags = {"config": config, "bind-address": "127.0.0.1", "secure-port": ports.scheduler}
    return _spec(plane.binaries, plane.folder, "kube-scheduler", flags)


def _kwok(plane: ControlPlane, ports: Ports, pki: _Pki) -> processes.Spec:
    pair = pki.authority.issue("kwok", "kwok", ["system:masters"])
    config = plane.folder / "kwok.yaml"
    config.write_text("---\n".join(_stages(plane.folder)), encoding="utf-8")
    flags = {
        "kubeconfig": plane.component_kubeconfig("kwok", pair),
        "config": config,
        "manage-all-nodes": "false",
        "manage-nodes-with-annotation-selector": "kwok.x-k8s.io/node=fake",
        "node-lease-duration-seconds": 40,
        "node-ip": "127.0.0.1",
        "node-port": ports.kwok,
        "server-address": f"127.0.0.1:{ports.kwok}",
        "tls-cert-file": pki.kwok_server.certificate,
        "tls-private-key-file": pki.kwok_server.key,
    }
    return _spec(plane.binaries, plane.folder, "kwok", flags)


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
    return [*((files / name).read_text(encoding="utf-8") for name in ("node.yaml", "pod.yaml")), logs]
