"""What is told to exuvia by HTTP, with TLS and a bearer token, off unless a certificate is given: `POST /sessions`, and
audit events to `POST /signals/audit`.

The API server says whose token it is (TokenReview) and whether that user may (SubjectAccessReview of the verb `post` on
the path). A 2xx is given only once what was told is durable; whoever hears another, or none, sends it again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from dataclasses import asdict

from aiohttp import web

from exuvia import errors, ports
from exuvia.app import audit_events, deletions, sessions
from exuvia.app.services import Services
from exuvia.app.settings import Settings
from exuvia.model import resources
from exuvia.model.permissions import Duty, Permission

log = logging.getLogger(__name__)

SESSIONS, AUDIT = "/sessions", "/signals/audit"
VERB = "post"
LARGEST = {SESSIONS: 1 << 20, AUDIT: 8 << 20}  # bytes of a body: events of an audit log hold whole objects
AT_ONCE = {SESSIONS: 16, AUDIT: 4}  # requests; of the latter one is read, the others wait
READ_SECONDS = 10.0
REMEMBERED_SECONDS = 10.0
REMEMBERED = 256  # tokens that were let in a moment ago
RELOAD_SECONDS = 60.0
RETRY = {"Retry-After": "5"}
WITHOUT_RIGHT = "the ClusterRole exuvia-intake must be bound: apply deploy/components/intake"


PERMISSIONS: tuple[Permission, ...] = (
    Permission(duty=Duty.INTAKE, group="authentication.k8s.io", resource="tokenreviews", verbs=("create",)),
    Permission(duty=Duty.INTAKE, group="authorization.k8s.io", resource="subjectaccessreviews", verbs=("create",)),
)


class Refused(Exception):
    """An answer that is no success: its status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Doorkeeper:
    """Who may come in. What the API server said of a token holds for some seconds."""

    def __init__(self, cluster: ports.Cluster, monotonic: Callable[[], float]) -> None:
        self._cluster = cluster
        self._monotonic = monotonic
        self._let_in: dict[bytes, float] = {}

    async def check(self, authorization: str, path: str) -> None:
        """Raises `Refused` with 401 or 403, or 503 where the API server cannot be asked."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip() or not token.isascii():
            raise Refused(401, "a bearer token is needed")
        known = hashlib.sha256(f"{path} {token.strip()}".encode()).digest()
        if self._monotonic() - self._let_in.get(known, float("-inf")) < REMEMBERED_SECONDS:
            return
        try:
            await self._ask(token.strip(), path)
        except errors.ClusterError as trouble:
            way = f"; {WITHOUT_RIGHT}" if isinstance(trouble, errors.Forbidden) else ""
            log.warning("who sends something to the intake cannot be asked: %s%s", trouble, way)
            raise Refused(503, "the API server cannot say who you are; try again") from trouble
        self._let_in.pop(known, None)
        self._let_in[known] = self._monotonic()
        while len(self._let_in) > REMEMBERED:
            del self._let_in[next(iter(self._let_in))]

    async def _ask(self, token: str, path: str) -> None:
        review = await self._cluster.create(resources.TOKEN_REVIEWS, _body(resources.TOKEN_REVIEWS, {"token": token}))
        status = review.get("status") or {}
        user = status.get("user") or {}
        if status.get("authenticated") is not True or not user.get("username"):
            raise Refused(401, "the API server does not know this token")
        spec = {
            "user": user["username"],
            "uid": user.get("uid") or "",
            "groups": user.get("groups") or [],
            "extra": user.get("extra") or {},
            "nonResourceAttributes": {"path": path, "verb": VERB},
        }
        access = resources.SUBJECT_ACCESS_REVIEWS
        answer = await self._cluster.create(access, _body(access, spec))
        if (answer.get("status") or {}).get("allowed") is not True:
            raise Refused(403, f"{user['username']} may not {VERB} to {path} (a ClusterRole with nonResourceURLs)")


def _body(resource: resources.Resource, spec: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}


class Intake:
    """The door, open as long as the process lives. `services`: those of this replica's term; None while it has none."""

    def __init__(
        self,
        settings: Settings,
        cluster: ports.Cluster,
        monotonic: Callable[[], float],
        services: Callable[[], Services | None],
    ) -> None:
        self._settings = settings
        self._services = services
        self._doorkeeper = Doorkeeper(cluster, monotonic)
        self._slots = {path: asyncio.Semaphore(most) for path, most in AT_ONCE.items()}
        self._one_audit = asyncio.Lock()
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)

    async def serve(self) -> web.AppRunner:
        """Listen and return the running site. OSError when the port is taken; `errors.SettingsError` for a certificate
        that cannot be used."""
        self.load()
        app = web.Application()
        app.add_routes([web.post(path, self._answer) for path in LARGEST])
        app.cleanup_ctx.append(self._reloading)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await runner.setup()
        host, port = self._settings.http_host, self._settings.intake_port
        await web.TCPSite(runner, host, port, ssl_context=self._context).start()
        return runner

    def load(self) -> None:
        """Read certificate and key: now, and again every minute, for they are renewed. `errors.SettingsError`."""
        cert, key = self._settings.intake_cert, self._settings.intake_key
        try:
            self._context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as trouble:
            raise errors.SettingsError(
                f"The certificate {cert or '(none)'} with the key {key or '(none)'} cannot be used: {trouble}.",
                remedy="Name both as PEM files by --intake-cert and --intake-key.",
            ) from trouble

    async def _reloading(self, _: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._reload(), name="reload the intake's certificate")
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _reload(self) -> None:
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            try:
                await asyncio.to_thread(self.load)
            except errors.SettingsError as trouble:
                log.warning("the former certificate is served on: %s", trouble)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        slots = self._slots[request.path]
        if slots.locked():
            return _said(503, "too many requests at once; try again", RETRY)
        async with slots:
            try:
                return await self._take(request)
            except Refused as no:
                return _said(no.status, str(no), RETRY if no.status == 503 else {})

    async def _take(self, request: web.Request) -> web.StreamResponse:
        await self._doorkeeper.check(request.headers.get("Authorization", ""), request.path)
        async with self._one_audit if request.path == AUDIT else nullcontext():
            return await self._let_in(request)

    async def _let_in(self, request: web.Request) -> web.StreamResponse:
        services = self._services()
        if services is None or not services.past_known:
            raise Refused(503, "this replica does not write the ledger now; try again")
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await _body_of(request)
            return web.json_response(await _entered(services, request.path, body))
        except TimeoutError:
            raise Refused(408, f"the body did not come within {READ_SECONDS:.0f} s") from None
        except errors.InvalidObject as trouble:
            raise Refused(400, str(trouble)) from trouble
        except (errors.LedgerError, errors.Fenced) as trouble:
            raise Refused(503, "the ledger cannot be written now; try again") from trouble


async def _body_of(request: web.Request) -> bytes:
    """Never more than its path takes."""
    found = bytearray()
    async for chunk in request.content.iter_any():
        found += chunk
        if len(found) > LARGEST[request.path]:
            raise Refused(413, f"more than {LARGEST[request.path]} bytes; send less at a time")
    return bytes(found)


async def _entered(services: Services, path: str, body: bytes) -> dict[str, int]:
    """Enter what was told; how much was new, and how much not."""
    if path == AUDIT:
        return asdict(await deletions.enter(services, await asyncio.to_thread(audit_events.read, body)))
    told = await asyncio.to_thread(sessions.read, body, recorded=sessions.now(services))
    entered, known = await sessions.enter(services, told)
    return {"entered": entered, "known": known}


def _said(status: int, why: str, headers: dict[str, str]) -> web.Response:
    challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return web.json_response({"error": why}, status=status, headers=headers | challenge)


def check(settings: Settings) -> bool:
    """Whether the door is wanted. Raises `errors.SettingsError` when only half of what it needs is given."""
    given = [bool(settings.intake_cert), bool(settings.intake_key)]
    if any(given) and not all(given):
        raise errors.SettingsError(
            "Only one of certificate and key is given.", remedy="Name both by --intake-cert and --intake-key."
        )
    return all(given)
