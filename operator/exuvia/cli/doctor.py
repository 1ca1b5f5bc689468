"""`exuvia doctor`: is everything there that exuvia needs? Each line is ok or a problem with the next step."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from exuvia import errors
from exuvia.cli import cluster, evidence, examining, heads, ledger, listening, printing
from exuvia.cli.examining import Check, Installed, State
from exuvia.kube.client import Client
from exuvia.record import places
from exuvia.record.places import Place
from exuvia.report.text import Rows


@click.command()
@click.option(
    "--ledger", "file", envvar="EXUVIA_LEDGER", default="", metavar="FILE-or-URL",
    help=f"The operator's ledger. Default: {ledger.DEFAULT}, where there is one.",
)  # fmt: skip
@click.option(
    "--evidence-dir", "root", envvar="EXUVIA_EVIDENCE_DIR", default="", metavar="DIR",
    help=f"The operator's evidence directory. Default: {evidence.DEFAULT}, where there is one.",
)  # fmt: skip
@click.option("--namespace", default=examining.NAMESPACE, show_default=True, help="Where exuvia is installed.")
@cluster.lease_option
@click.option("--as-me", is_flag=True, help="Check your own rights in any case.")
@cluster.cluster_options
@printing.output_option
def doctor(
    file: str,
    root: str,
    namespace: str,
    lease_name: str,
    as_me: bool,
    kubeconfig: str,
    context: str,
    output: str,
) -> None:
    """Check cluster, kinds, rights, clock, leader, policies, intake, ledger and evidence. Exit code 1 where there is a
    problem.

    Rights are those of exuvia's ServiceAccount where it is installed, else your own.
    """
    place = places.place(file or ledger.DEFAULT)
    checks = [
        *_in_cluster(kubeconfig, context, Installed(namespace=namespace, lease=lease_name), place, as_me),
        examining.ledger_health(place, named=bool(file)),
        examining.evidence_directory(Path(root or evidence.DEFAULT), named=bool(root)),
    ]
    rows = tuple((str(one.state), one.subject, one.message, one.remedy) for one in checks)
    data = [
        {"state": str(one.state), "subject": one.subject, "message": one.message, "next": one.remedy or None}
        for one in checks
    ]
    printing.show([("", Rows(headings=("", "WHAT", "FOUND", "NEXT STEP"), rows=rows))], data, output)
    printing.finish(findings=any(one.state is State.PROBLEM for one in checks))


def _in_cluster(kubeconfig: str, context: str, there: Installed, place: Place, as_me: bool) -> list[Check]:
    """What is asked of the API server; when it cannot be reached that is the one problem."""

    async def work(client: Client) -> list[Check]:
        found = await examining.examine(client, there, datetime.now(UTC), as_me=as_me)
        intake = await listening.check(client, there.namespace, as_me=as_me)
        return [*found, *intake, *await heads.check(client, there.namespace, place)]

    try:
        return cluster.run(kubeconfig, context, work)
    except (errors.SettingsError, errors.Unreachable, errors.Unauthorized) as trouble:
        return [examining.problem("API server", trouble.message, trouble.remedy)]
