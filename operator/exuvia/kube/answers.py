"""From HTTP answers to the exceptions of `errors`, in words: what, which, why, what next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec

from exuvia import errors


def trouble(verb: str, path: str, status: int, headers: Mapping[str, str], raw: bytes) -> errors.ClusterError:
    """The exception for an answer that is not a success."""
    body = _status(raw)
    reason, said = str(body.get("reason") or ""), str(body.get("message") or raw[:200].decode(errors="replace"))
    what = f"{verb} {path}: {said.strip() or 'no message'}"
    if status == 429:
        return errors.TooManyRequests(what, retry_after=_retry_after(headers, body), reason=reason, body=body)
    if status == 401:
        remedy = "Log in again, or check the credentials of the kubeconfig."
        return errors.Unauthorized(what, status=status, reason=reason, body=body, remedy=remedy)
    if status == 403:
        remedy = "Ask an admin for the right, or apply the RBAC of deploy/."
        return errors.Forbidden(what, status=status, reason=_forbidden_reason(body), body=body, remedy=remedy)
    return _kind(status, reason)(what, status=status, reason=reason, body=body)


def no_answer(host: str, verb: str, path: str, trouble: BaseException) -> errors.Unreachable:
    """The exception for no answer at all. A certificate that is not trusted is no cluster that does not run."""
    why = str(trouble).strip() or ("no answer in time" if isinstance(trouble, TimeoutError) else type(trouble).__name__)
    if isinstance(trouble, aiohttp.ClientSSLError) and "certificate" in why.lower():
        return errors.Unreachable(
            f"No trusted connection to the API server {host} for {verb} {path}: {_of_certificate(trouble) or why}.",
            remedy="The kubeconfig's certificate authority or server name is not that of this server, or a certificate"
            " has expired: fetch the kubeconfig of this cluster again.",
        )
    return errors.Unreachable(
        f"The API server {host} does not answer {verb} {path}: {why}.",
        remedy="Check that the cluster runs and that the kubeconfig names it.",
    )


def _of_certificate(trouble: BaseException) -> str:
    """What the check of the server's certificate found, without the words of a library around it; "" for others."""
    found = getattr(trouble, "certificate_error", None)
    said = str(getattr(found, "verify_message", "") or "")
    return f"certificate verify failed, {said}" if said else ""


def _kind(status: int, reason: str) -> type[errors.ClusterError]:
    if status == 409:
        return errors.AlreadyExists if reason == "AlreadyExists" else errors.Conflict
    known: dict[int, type[errors.ClusterError]] = {
        404: errors.NotFound,
        410: errors.Expired,
        400: errors.Refused,
        422: errors.Refused,
    }
    return known.get(status, errors.ServerTrouble if status >= 500 else errors.ClusterError)


def _status(raw: bytes) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _retry_after(headers: Mapping[str, str], body: Mapping[str, Any]) -> timedelta | None:
    text = headers.get("Retry-After") or (body.get("details") or {}).get("retryAfterSeconds")
    try:
        return timedelta(seconds=float(text)) if text is not None else None
    except ValueError:
        return None


def _forbidden_reason(body: Mapping[str, Any]) -> str:
    causes = (body.get("details") or {}).get("causes") or ()
    found = [str(one.get("reason")) for one in causes if one.get("reason")]
    return found[0] if found else str(body.get("reason") or "")
