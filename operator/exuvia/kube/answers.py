"""From HTTP answers to the exceptions of `errors`, in words: what, which, why, what next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

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
