"""etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK as child processes on loopback.

Several instances live side by side: each has its own folder, ports, CA and pids. One that is not detached ends with the
process that started it, however that ends.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from exuvia import errors
from exuvia.localcluster import certificates, components, kubeconfigs, processes
from exuvia.localcluster.components import Options, Ports

START_PATIENCE = 60.0
ATTEMPTS = 3
STATE_FILE = "state.json"
_LEAVINGS = ("etcd", "pki", "logs", "*.kubeconfig", "audit*", "kwok.yaml", "scheduler.yaml", "container.log", "cloud.*")


@dataclass(slots=True)
class _Running:
    ports: Ports
    identities: list[processes.Identity] = field(default_factory=list)


class ControlPlane:
    """One control plane in one folder. A context manager; `start` and `stop` for those who keep it."""

    def __init__(self, folder: Path, binaries: Path, options: Options | None = None) -> None:
        self.folder = folder.resolve()
        self.binaries = binaries
        self.options = options or Options()
        self.audit_log = self.folder / components.AUDIT_LOG
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
    def kubelet_port(self) -> int:
        """Where KWOK serves the logs of simulated pods; a simulated node names it."""
        return self._now().ports.kwok

    @property
    def ca(self) -> Path:
        """The certificate of the instance's CA."""
        return self._pki / "ca.crt"

    def start(self, *, detached: bool = False) -> None:
        """Up and ready, or `errors.SettingsError` with the last lines of the log that matters."""
        if platform.system() != "Linux":
            raise errors.SettingsError(
                f"The local control plane needs Linux, this is {platform.system()}.",
                remedy="Use a Linux machine or container, or any cluster by --kubeconfig.",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            self._running = _Running(ports=components.free_ports())
            try:
                self._start_all(detached=detached)
                return
            except errors.SettingsError:
                self.stop()
                if attempt == ATTEMPTS:
                    raise
                shutil.rmtree(self.folder / "etcd", ignore_errors=True)
            except BaseException:  # interrupted: leave nothing behind
                self.stop()
                raise

    def stop(self) -> None:
        """Stop every process by pid and see it gone. Stopped already is fine."""
        if self._running is None:
            return
        order = list(reversed(self._running.identities))
        processes.stop([one for one in order if one.name not in ("etcd", "kube-apiserver")], patience=5)
        processes.stop([one for one in order if one.name == "kube-apiserver"], patience=12)
        processes.stop([one for one in order if one.name == "etcd"], patience=5)
        self._running = None
        (self.folder / STATE_FILE).unlink(missing_ok=True)

    def spawn(self, spec: processes.Spec, *, detached: bool = False) -> processes.Identity:
        """Start a further process that is stopped with this instance, in the place of an ended one of that name.

        Each start is noted at once, so that what was started can be stopped even if we are killed now.
        """
        running = self._now()
        identity = processes.start(spec, detached=detached)
        running.identities[:] = [one for one in running.identities if one.name != spec.name or one.alive()] + [identity]
        self._save()
        return identity

    def stop_process(self, name: str, *, kill: bool = False) -> None:
        """Stop the process of that name and see it gone; `kill` gives it no chance to tidy up."""
        found = [one for one in self._now().identities if one.name == name]
        processes.stop(found, patience=0 if kill else 10)

    def wipe(self) -> None:
        """Remove what an instance leaves in its folder, and the folder when nothing else is in it."""
        for path in (found for pattern in _LEAVINGS for found in self.folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    @classmethod
    def attach(cls, folder: Path) -> Self | None:
        """The instance that was started in a folder and not stopped, or None. Its processes may have ended since."""
        try:
            state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        found = cls(folder, Path(state["binaries"]))
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
            failed = subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
            failed.add_note(done.stderr.strip())
            raise failed
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
        layout = components.Layout(
            folder=self.folder,
            binaries=self.binaries,
            options=self.options,
            ports=self._now().ports,
            pki=components.Pki(self._pki),
        )
        admin = layout.pki.authority.issue("admin", "admin", ["system:masters"])
        kubeconfigs.with_certificate(self.kubeconfig, server=self.server, ca=self.ca, user="admin", pair=admin)
        self.spawn(components.etcd(layout), detached=detached)
        self.spawn(components.apiserver(layout), detached=detached)
        self._await("/readyz", admin)
        self.spawn(components.controllers(layout), detached=detached)
        self.spawn(components.scheduler(layout), detached=detached)
        if self.options.kwok:
            self.spawn(components.kwok(layout), detached=detached)
        self._await("/api/v1/namespaces/default/serviceaccounts/default", admin)

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
        state = {
            "binaries": str(self.binaries),
            "ports": asdict(running.ports),
            "processes": [asdict(one) for one in running.identities],
        }
        temporary = self.folder / f"{STATE_FILE}.new"
        temporary.write_text(json.dumps(state), encoding="utf-8")
        temporary.replace(self.folder / STATE_FILE)
