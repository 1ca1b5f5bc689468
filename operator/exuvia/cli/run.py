"""`exuvia run`: the operator, in a cluster or beside it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from exuvia import errors
from exuvia.model import marks
from exuvia.model.specs.common import parse_duration
from exuvia.record import places
from exuvia.record.places import Place


class DurationType(click.ParamType[timedelta]):
    """A Go-style duration like 15s or 2h20m."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """As timedelta, or a clear word."""
        try:
            found = parse_duration(value)
        except ValueError as trouble:
            self.fail(str(trouble), param, ctx)
        assert isinstance(found, timedelta)
        return found


DURATION = DurationType()


@click.command(name="run")
@click.option(
    "--kubeconfig", default="", help="Kubeconfig file (default: $KUBECONFIG, the pod's account, ~/.kube/config)."
)
@click.option("--context", default="", help="Context of the kubeconfig.")
@click.option(
    "--ledger",
    default="/var/lib/exuvia/ledger.db",
    show_default=True,
    metavar="FILE-or-URL",
    help="The ledger: a file, or postgresql://USER@HOST:PORT/DATABASE.",
)
@click.option(
    "--anchor-public-key",
    default="",
    metavar="FILE",
    help="Trust the ledger only with a note of its head in the cluster that is signed by this key (docs/ledger.md).",
)
@click.option(
    "--evidence-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/var/lib/exuvia/evidence"),
    show_default=True,
    help="Where evidence is kept.",
)
@click.option("--simulated-cloud", default="", help="URL of `exuvia dev cloud`, for provider Simulated.")
@click.option("--http-host", default="0.0.0.0", show_default=True, help="Address of /metrics, /healthz, /readyz.")
@click.option("--http-port", type=int, default=8080, show_default=True, help="Port of the same.")
@click.option("--intake-cert", default="", metavar="FILE", help="TLS certificate of the intake. Default: no intake.")
@click.option("--intake-key", default="", metavar="FILE", help="Its key.")
@click.option("--intake-port", type=int, default=8443, show_default=True, help="Port of the intake: POST /sessions.")
@click.option("--namespace", default=marks.SYSTEM_NAMESPACE, show_default=True, help="Namespace of the Lease.")
@click.option("--lease-name", default=marks.LEASE, show_default=True, help="Name of the Lease.")
@click.option("--lease-duration", type=DURATION, default="15s", show_default=True, help="How long a lease holds.")
@click.option("--renew-deadline", type=DURATION, default="10s", show_default=True, help="When we stop without renewal.")
@click.option("--retry-period", type=DURATION, default="2s", show_default=True, help="How often it is renewed.")
@click.option("--full-sweep", type=DURATION, default="10m", show_default=True, help="How often everything is judged.")
@click.option("--cluster-name", default="", help="Name of this cluster in the ledger.")
@click.option("--pinned", default="", help="What ties exuvia to its node, for example a local volume of the ledger.")
@click.option(
    "--reclaim-hosts",
    default="",
    metavar="HOSTS",
    help="Hosts that reclaim hooks may call, comma-separated.",
)
@click.option("--reclaim-token-file", default="", metavar="FILE", help="A bearer token for these, read for each call.")
@click.option("--read-only", is_flag=True, help="Judge and report only, whatever the policies' mode.")
@click.option("--log-format", type=click.Choice(["json", "text"]), default="json", show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="More logs.")
def command(verbose: bool, **options: Any) -> None:
    """Run the operator until SIGTERM."""
    from exuvia.app import logs
    from exuvia.app.settings import Settings

    _check_ledger(places.place(options["ledger"]), options["cluster_name"])
    _check_key(options["anchor_public_key"])
    settings = Settings(verbose=verbose, **options)
    logs.configure(json=settings.log_format == "json", verbose=verbose)
    asyncio.run(_serve(settings))


def _check_ledger(place: Place, cluster_name: str) -> None:
    """Two clusters that share a database under one name would write one chain."""
    if isinstance(place, Path) or cluster_name:
        return
    raise errors.SettingsError(
        f"The ledger {place} may be shared by several clusters, and this one has no name.",
        remedy="Give it one of its own by --cluster-name.",
    )


def _check_key(file: str) -> None:
    """One that cannot be used is said at once, not when the ledger is first asked for."""
    from exuvia.record import anchors

    if file:
        anchors.public_key(Path(file))


async def _serve(settings: Any) -> None:
    from exuvia.app.operator import Operator
    from exuvia.kube.client import Client

    async with await Client.connect(settings.kubeconfig, settings.context, timeout=settings.patience) as client:
        await Operator(settings, client).run()
