"""The operator process: view, leader election and HTTP live as long as the process; what acts lives in terms."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterable, Mapping
from importlib import metadata

from aiohttp import web
from prometheus_client import CollectorRegistry, disable_created_metrics

from exuvia import errors, ports
from exuvia.act.providers import close_providers, configured
from exuvia.app import intake, past, samples
from exuvia.app.clock import SystemClock
from exuvia.app.fencing import FencedCluster
from exuvia.app.intake import Intake
from exuvia.app.leader import Elector, Leadership, Terms
from exuvia.app.services import Services
from exuvia.app.serving import Probes, serve
from exuvia.app.settings import Settings
from exuvia.app.term import Term
from exuvia.kube.client import Client
from exuvia.model import resources
from exuvia.observe.cluster_view import ClusterView
from exuvia.record import places
from exuvia.report.metrics import Durations, Sample, StateCollector

log = logging.getLogger(__name__)

LAG_PERIOD = 0.5
LAG_KEPT = 120
GONE_KEPT = 4096  # records of a kind, by a replica that does not lead


class Operator:
    """One replica."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings = settings
        self._client = client
        self._clock = SystemClock()
        self._leadership = Leadership(self._clock)
        self._view = ClusterView(client, self._clock)
        # Creation times say when this process began, which no query asks, and double the histograms.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._durations = Durations(self._registry)
        self._registry.register(StateCollector(self._samples, self._leadership.leads))
        self._elector = Elector(client, self._terms(), self._clock, self._leadership, self._epoch_floor)
        self._term: Term | None = None
        self._electing: asyncio.Task[None] | None = None
        self._lags: list[float] = []
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises `errors.ExuviaError` when it cannot even begin."""
        await check_crds(self._client)
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, self._stop.set)
        sites = [await self._serve(), *await self._open_intake()]
        log.info(
            "exuvia %s begins as %s", metadata.version("exuvia"), self._settings.identity, extra=_told(self._settings)
        )
        self._view.start()
        elector = self._electing = asyncio.create_task(self._elector.run(), name="elector")
        lags = asyncio.create_task(self._measure_lag(), name="loop lag")
        try:
            await self._terms_until_stopped()
        finally:
            log.info("stopping: what is under way ends, and the lease is given back")
            await self._elector.release()
            for task in (elector, lags):
                task.cancel()
            await asyncio.gather(elector, lags, return_exceptions=True)
            await self._view.stop()
            await asyncio.gather(*(site.cleanup() for site in sites))
            log.info("stopped")

    async def _terms_until_stopped(self) -> None:
        fenced = FencedCluster(self._client, self._leadership)
        providers = configured(
            cluster=fenced, simulated_cloud=self._settings.simulated_cloud, leadership=self._leadership
        )
        try:
            while not self._stop.is_set():
                await self._until_leading()
                if not self._stop.is_set():
                    await self._serve_term(self._new_term(providers))
        finally:
            await close_providers(providers)

    def _new_term(self, providers: Mapping[str, ports.Provider]) -> Term:
        return Term(
            self._settings,
            self._clock,
            self._client,
            self._leadership,
            self._view,
            self._durations,
            providers,
        )

    async def _serve_term(self, term: Term) -> None:
        self._term = term
        running = asyncio.create_task(term.run(), name="term")
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        running.cancel()
        (result,) = await asyncio.gather(running, return_exceptions=True)
        if isinstance(result, Exception) and not isinstance(result, errors.Fenced):
            log.error("the term ended: %s", result, exc_info=result)
            await asyncio.sleep(1.0)
        self._term = None

    async def _until_leading(self) -> None:
        """What changes meanwhile is taken by nobody: the next term compares all that is there with the ledger, and
        asks about those that went last."""
        while not (self._stop.is_set() or self._leadership.leads()):
            for one in self._view.reflectors:
                one.store.keep_latest(GONE_KEPT)
            await asyncio.sleep(0.05)

    async def _serve(self) -> web.AppRunner:
        probes = Probes(healthy=self._healthy, ready=self._ready, role=self._elector.role)
        try:
            return await serve(self._registry, probes, host=self._settings.http_host, port=self._settings.http_port)
        except OSError as trouble:
            raise errors.SettingsError(
                f"Port {self._settings.http_port} cannot be listened on: {trouble.strerror or trouble}.",
                remedy="Name another by --http-port.",
            ) from trouble

    async def _open_intake(self) -> list[web.AppRunner]:
        """The door for what others tell, where there is a certificate for it."""
        settings = self._settings
        if not intake.check(settings):
            return []
        door = Intake(settings, self._client, self._clock.monotonic, self._acting)
        try:
            return [await door.serve()]
        except OSError as trouble:
            raise errors.SettingsError(
                f"Port {settings.intake_port} cannot be listened on: {trouble.strerror or trouble}.",
                remedy="Name another by --intake-port.",
            ) from trouble

    def _acting(self) -> Services | None:
        return self._term.services if self._term is not None and self._leadership.leads() else None

    def _healthy(self) -> str:
        """A replica that can never lead again is of no use: let it be started anew."""
        return "the elector ended" if self._electing is not None and self._electing.done() else ""

    def _ready(self) -> str:
        missing = [one.resource.full_name for one in self._view.reflectors if not one.synced]
        return f"not listed yet: {', '.join(missing)}" if missing else ""

    def _terms(self) -> Terms:
        return Terms(
            namespace=self._settings.namespace,
            name=self._settings.lease_name,
            identity=self._settings.identity,
            duration=self._settings.lease_duration,
            renew_deadline=self._settings.renew_deadline,
            retry=self._settings.retry_period,
        )

    async def _epoch_floor(self) -> int:
        """The greatest epoch that ledger and operations know, so that ours is greater."""
        recorded = await asyncio.to_thread(
            past.greatest_epoch, places.place(self._settings.ledger), self._settings.cluster_name
        )
        found = [recorded]
        for resource in (resources.ROTATIONS, resources.QUARANTINES):
            async for page in self._client.pages(resource):
                found += [int((body.get("status") or {}).get("epoch") or 0) for body in page]
        return max(found)

    def _samples(self) -> Iterable[Sample]:
        yield samples.build_info()
        yield Sample(name="exuvia_leader", value=float(self._leadership.leads()))
        for resource, heard in self._view.last_heard().items():
            if heard is not None:
                yield Sample(
                    name="exuvia_watch_last_event_timestamp_seconds", value=heard.timestamp(), labels=(resource,)
                )
        yield Sample(name="exuvia_loop_lag_seconds", value=max(self._lags, default=0.0))
        term = self._term
        if term is not None:
            yield Sample(name="exuvia_ledger_lag_seconds", value=term.services.ledger.lag())
            yield from samples.of_leader(term.services, term.statuses)
            yield from term.seating.samples()
            yield from term.risks.samples()

    async def _measure_lag(self) -> None:
        """How late the loop wakes us: what delays this delays a lease renewal as well."""
        while True:
            started = self._clock.monotonic()
            await asyncio.sleep(LAG_PERIOD)
            self._lags.append(max(0.0, self._clock.monotonic() - started - LAG_PERIOD))
            del self._lags[:-LAG_KEPT]


def _told(settings: Settings) -> dict[str, object]:
    return {"identity": settings.identity, "readOnly": settings.read_only, "ledger": str(places.place(settings.ledger))}


async def check_crds(client: ports.Cluster) -> None:
    """Every kind of ours is there. Raises `errors.SettingsError` with the next step."""
    for one in resources.OURS:
        try:
            async for _ in client.pages(one, limit=1):
                break
        except errors.NotFound as trouble:
            raise errors.SettingsError(
                f"The cluster does not know {one.full_name}.",
                remedy=f"Install exuvia's kinds with `{resources.APPLY_KINDS}`.",
            ) from trouble
