"""`exuvia demo`: the whole story on a control plane of its own. The exit code says whether it came true."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from exuvia import errors
from exuvia.cli.demo import judging, stage
from exuvia.cli.demo.narrator import Narrator
from exuvia.cli.demo.story import Story
from exuvia.kube.client import Client
from exuvia.localcluster import binaries as executables


@click.command(name="demo")
@click.option("--keep", is_flag=True, help="Leave everything running at the end.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where the control plane lives. Default: a temporary folder.",
)
@click.option(
    "--binaries", "binaries_folder", default="", metavar="FOLDER", envvar=executables.FOLDER_VARIABLE,
    help="Folder that holds the control plane's executables. Default: the cache; what is missing is built.",
)  # fmt: skip
def command(keep: bool, folder: Path | None, binaries_folder: str) -> None:
    """A local control plane, a simulated fleet, and the whole story in the terminal (under 3 minutes)."""
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise errors.SettingsError(
            f"The folder {folder} is not empty.", remedy="Name an empty or a new one by --folder."
        )
    found = executables.ensure(binaries_folder)
    home = folder or Path(tempfile.mkdtemp(prefix="exuvia-demo-"))
    narrator = Narrator()
    narrator.chapter("Stage: a real control plane on loopback, a simulated cloud, twelve machines in three zones")
    with _ended_as_by_a_person():
        place = stage.build(home, found, detached=keep)
        narrator.say("etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK run; our kinds are served")
        good = False
        try:
            good = asyncio.run(_play(place, narrator, keep=keep))
        finally:
            if not keep:
                place.plane.stop()
                if folder is None and good:
                    shutil.rmtree(home, ignore_errors=True)
            _farewell(place, narrator, keep=keep, good=good)  # whatever happened: else nobody knew what runs on
    raise SystemExit(0 if good else 1)


@contextmanager
def _ended_as_by_a_person() -> Iterator[None]:
    """SIGTERM is taken for a Ctrl-C: by itself it would end this program, and leave running all that was started."""
    former = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """What a Ctrl-C does just now; a shell lets what it starts in the background ignore that."""
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    if not callable(on_ctrl_c):
        raise KeyboardInterrupt
    on_ctrl_c(number, frame)


async def _play(place: stage.Stage, narrator: Narrator, *, keep: bool) -> bool:
    async with await Client.connect(str(place.plane.kubeconfig)) as client:
        await stage.populate(place, client)
        narrator.say("12 machines run 12 web pods, 2 carts behind a PodDisruptionBudget, and an agent each")
        operator = stage.operate(place, detached=keep)
        narrator.say("the operator runs as a process of its own, with the rights of deploy/ and nothing more")
        story = Story(place, client, narrator, operator)
        try:
            await story.play()
        except errors.ExuviaError as trouble:
            narrator.say(f"the story broke off: {trouble}")
        narrator.chapter("Did the story come true? (judged from the cluster's objects, the ledger and the evidence)")
        try:
            checked = await judging.judge(story, place, client)
        except errors.ExuviaError as trouble:
            narrator.say(f"it cannot be judged: {trouble}")
            return False
    for text, good in checked:
        narrator.check(text, good)
    return all(good for _, good in checked)


def _farewell(place: stage.Stage, narrator: Narrator, *, keep: bool, good: bool) -> None:
    narrator.chapter(f"{'The story came true' if good else 'The story did NOT come true'} in {narrator.seconds:.0f} s.")
    if keep:
        plane = place.plane
        path = f"{Path(sys.executable).parent}:{plane.binaries}"
        around = {"kubeconfig": plane.kubeconfig, "metrics": place.metrics, "folder": plane.folder, "path": path}
        click.echo(_AROUND.format(**around))
    elif good:
        click.echo("Everything is stopped. `exuvia demo --keep` leaves it running, to look around with kubectl.")
    else:
        click.echo(f"Everything is stopped; the logs are in {place.plane.folder / 'logs'}.")


_AROUND = """
Look around:
  export PATH="{path}:$PATH"  # exuvia and kubectl
  export KUBECONFIG={kubeconfig}
  kubectl get exuvia
  kubectl get nodes -L exuvia.dev/state,topology.kubernetes.io/zone
  kubectl describe securitypolicies.exuvia.dev workers
  kubectl get exq -o wide
  kubectl get events.events.k8s.io --field-selector reportingController=exuvia.dev/operator
  exuvia status
  exuvia ledger query --instance worker-1 --ledger {folder}/ledger.db
  exuvia risk report --from 1h --ledger {folder}/ledger.db -o html > risk.html
Metrics: {metrics}/metrics
Stop it: exuvia dev down --folder {folder}"""
