"""`exuvia dev`: a real control plane on loopback, and the simulated cloud beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from exuvia import errors
from exuvia.app.manifests import crds
from exuvia.localcluster import binaries as executables
from exuvia.localcluster.cloud import starting
from exuvia.localcluster.controlplane import ControlPlane

_Command = Callable[..., Any]


def _binaries_option(command: _Command) -> _Command:
    return click.option(
        "--binaries", "binaries_folder", default="", metavar="FOLDER", envvar=executables.FOLDER_VARIABLE,
        help="Folder that holds the control plane's executables. Default: the cache; what is missing is built.",
    )(command)  # fmt: skip


def _folder_option(command: _Command) -> _Command:
    return click.option(
        "--folder", type=click.Path(path_type=Path, file_okay=False), default=None,
        help="Folder of the control plane; several live side by side in several folders. Default: in the cache.",
    )(command)  # fmt: skip


@click.group()
def dev() -> None:
    """A local control plane and a simulated cloud to try things on."""


@dev.command()
@_binaries_option
def binaries(binaries_folder: str) -> None:
    """Build the control plane's executables (once, some minutes) and print their folder."""
    click.echo(executables.ensure(binaries_folder))


@dev.command()
@_folder_option
@_binaries_option
@click.option("--cloud", "with_cloud", is_flag=True, help="Start the simulated cloud beside it.")
def up(folder: Path | None, binaries_folder: str, with_cloud: bool) -> None:
    """Start a control plane that stays when this command ends, and print its KUBECONFIG.

    The custom resources of exuvia are served. Use the output as `eval $(exuvia dev up)`.
    """
    home = _home(folder)
    _refuse_taken(home)
    plane = ControlPlane(home, executables.ensure(binaries_folder))
    plane.start(detached=True)
    try:
        _serve_our_kinds(plane)
        url = starting.start(plane, detached=True) if with_cloud else ""
    except BaseException:  # half of it is of no use to anybody
        plane.stop()
        plane.wipe()
        raise
    _print_exports(plane, url)


@dev.command()
@_folder_option
def down(folder: Path | None) -> None:
    """Stop the control plane of a folder and remove what it left there; what is not of it stays, and is named."""
    home = _home(folder)
    plane = ControlPlane.attach(home)
    if plane is None:
        click.echo(f"no control plane in {home}")
        return
    plane.stop()
    plane.wipe()
    click.echo(f"stopped and removed the control plane in {home}")
    kept = sorted(one.name for one in home.iterdir()) if home.is_dir() else []
    if kept:
        click.echo(f"kept in {home}, which is not of it (a ledger, evidence): {', '.join(kept)}")


@dev.command()
@_folder_option
def status(folder: Path | None) -> None:
    """Say which processes of a folder's control plane run. Exit code 1 when one of them does not."""
    home = _home(folder)
    plane = ControlPlane.attach(home)
    if plane is None:
        click.echo(f"no control plane in {home}")
        raise SystemExit(1)
    running = plane.components()
    for name, alive in running.items():
        click.echo(f"{name:<24} {'running' if alive else 'gone'}")
    _print_exports(plane, starting.url(plane))
    raise SystemExit(0 if all(running.values()) else 1)


@dev.command()
@click.option("--kubeconfig", default="", metavar="FILE", help="Who the cloud is in the cluster.")
@click.option("--port", default=0, show_default=True, help="Port on loopback; 0 takes a free one.")
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that keeps groups and machines.",
)
def cloud(kubeconfig: str, port: int, state: Path) -> None:
    """Run the simulated cloud until it is told to stop. Its API is described in exuvia.localcluster.cloud."""
    from exuvia.localcluster.cloud import server

    asyncio.run(server.serve(kubeconfig=kubeconfig, port=port, state=state))


def _home(folder: Path | None) -> Path:
    return (folder or executables.cache_root() / "dev").resolve()


def _serve_our_kinds(plane: ControlPlane) -> None:
    bodies = {"apiVersion": "v1", "kind": "List", "items": [crds.manifest(one) for one in crds.DEFINITIONS]}
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(bodies))
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


def _print_exports(plane: ControlPlane, cloud_url: str) -> None:
    click.echo(f"export KUBECONFIG={plane.kubeconfig}")
    if cloud_url:
        click.echo(f"export EXUVIA_SIMULATED_CLOUD={cloud_url}")


def _refuse_taken(home: Path) -> None:
    """A folder with a control plane in it, or with somebody's files, is not taken over."""
    plane = ControlPlane.attach(home)
    if plane is not None:
        alive = any(plane.components().values())
        raise errors.SettingsError(
            f"There is a control plane in {home}{'' if alive else ', but it does not run'}.",
            remedy="Stop and remove it with `exuvia dev down`, or name another folder by --folder.",
        )
    if home.exists() and any(home.iterdir()):
        raise errors.SettingsError(f"The folder {home} is not empty.", remedy="Name an empty or a new one by --folder.")
