"""Entries as events of the Open Cybersecurity Schema Framework, version 1.6.0, for those who collect such events.

Only what fits a class of OCSF becomes one; all else is a Base Event that carries the entry under `unmapped`. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from exuvia.model.facts import FactKind, microseconds

VERSION = "1.6.0"
UNKNOWN, OTHER = 0, 99
INFORMATIONAL = 1
SEVERITIES = {"Low": 2, "Medium": 3, "High": 4, "Critical": 5}

BASE = 0
VULNERABILITY_FINDING = 2002
COMPLIANCE_FINDING = 2003
AUTHENTICATION = 3002
ENTITY_MANAGEMENT = 3004
DEVICE_INVENTORY_INFO = 5001
REMEDIATION_ACTIVITY = 7001

CREATE, UPDATE, CLOSE = 1, 2, 3  # of findings
ENTITY_CREATE, ENTITY_UPDATE, ENTITY_DELETE = 1, 3, 4
COLLECT, LOGON = 2, 1
ISOLATE, EVICT = 1, 2

Event = dict[str, Any]
Entry = Mapping[str, Any]


def event(entry: Entry, *, seq: int, hash_: str) -> Event:
    """The event of one entry. Valid time is `time`, recorded time `metadata.logged_time`; both epoch milliseconds."""
    class_uid, activity, said = _SHAPES.get(entry["type"], _base)(entry)
    common: Event = {
        "category_uid": class_uid // 1000,
        "class_uid": class_uid,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "severity_id": INFORMATIONAL,
        "time": _milliseconds(entry["at"]),
        "metadata": {
            "version": VERSION,
            "product": {"name": "exuvia", "vendor_name": "exuvia"},
            "log_name": entry["cluster"],
            "sequence": seq,
            "uid": hash_,
            "logged_time": _learnt(entry),
        },
        "unmapped": {"type": entry["type"], **_plain(entry)},
    }
    return common | said


def _learnt(entry: Entry) -> int:
    """A line from elsewhere may say itself when it was learnt."""
    said = entry["body"].get("recordedAt")
    return _milliseconds(entry["recorded"] if said is None else _moment(said))


def _plain(entry: Entry) -> Event:
    """All that the entry says. A person's name stands in one place only: the class that has a place for it."""
    return {key: value for key, value in entry["body"].items() if not (entry["type"] == "session" and key == "user")}


def _base(entry: Entry) -> tuple[int, int, Event]:
    return BASE, OTHER, {"activity_name": str(entry["type"])}


def _created(entry: Entry) -> tuple[int, int, Event]:
    return ENTITY_MANAGEMENT, ENTITY_CREATE, {"entity": _entity(entry["body"], entry["at"])}


def _changed(entry: Entry) -> tuple[int, int, Event]:
    return ENTITY_MANAGEMENT, ENTITY_UPDATE, {"entity": _entity(entry["body"])}


def _deleted(entry: Entry) -> tuple[int, int, Event]:
    return ENTITY_MANAGEMENT, ENTITY_DELETE, {"entity": _entity(entry["body"]), "message": entry["body"]["reason"]}


def _entity(body: Entry, born: int | None = None) -> Event:
    return {"device": _device(body, born), "uid": body["uid"], "type": str(body.get("kind", "Node"))}


def _life(entry: Entry) -> tuple[int, int, Event]:
    body = entry["body"]
    return (
        DEVICE_INVENTORY_INFO,
        COLLECT,
        {"device": _device(body, _moment(body["born"]))} | _span(body, "born", "died"),
    )


def _device(body: Entry, born: int | None = None) -> Event:
    """What is virtual and what is not is nowhere recorded, so the type is unknown, and named by its kind."""
    found = {
        "uid": body["uid"],
        "type_id": UNKNOWN,
        "type": body.get("kind"),
        "name": body.get("name"),
        "hostname": body.get("name"),
        "ip": next(iter(body.get("addresses") or ()), None),
        "uid_alt": body.get("providerID"),
        "os_machine_uuid": body.get("machineID"),
        "boot_uid": body.get("bootID"),
        "autoscale_uid": body.get("pool"),
        "zone": body.get("zone"),
        "created_time": None if born is None else _milliseconds(born),
    }
    return {key: value for key, value in found.items() if value not in (None, "")}


def _presence(entry: Entry) -> tuple[int, int, Event]:
    body = entry["body"]
    ended = body.get("to") is not None or body.get("withdrawn") is True or body.get("closed") == "retracted"
    finding = {"uid": f"{body['uid']}/{body['vulnerability']}/{body['from']}", "title": body["vulnerability"]}
    said = {
        "finding_info": finding,
        "vulnerabilities": [_vulnerability(body)],
        "device": {"uid": body["uid"], "type_id": UNKNOWN},
    }
    return VULNERABILITY_FINDING, CLOSE if ended else CREATE, said | _span(body, "from", "to")


def _vulnerability(body: Entry) -> Event:
    """OCSF wants exactly one of a CVE, an advisory and a weakness."""
    name = body["vulnerability"]
    named = {"cve": {"uid": name}} if name.startswith("CVE-") else {"advisory": {"uid": name}}
    seen = {"first_seen_time": _milliseconds(_moment(body["from"])), "title": name}
    last = body.get("to")
    return named | seen | ({} if last is None else {"last_seen_time": _milliseconds(_moment(last))})


def _verdict(entry: Entry) -> tuple[int, int, Event]:
    body = entry["body"]
    failing = body["result"] == "violating"
    said = {
        "finding_info": {"uid": f"{body['uid']}/{body['policy']}", "title": f"policy {body['policy']}"},
        "compliance": {
            "control": body["policy"],
            "status": body["result"] or "none",
            "status_id": {"compliant": 1, "violating": 3}.get(body["result"], OTHER),
            "status_detail": body.get("rules", ""),
        },
        "device": {"uid": body["uid"], "type_id": UNKNOWN},
        "severity_id": SEVERITIES.get(body.get("severity", ""), INFORMATIONAL),
    }
    return COMPLIANCE_FINDING, CREATE if failing else CLOSE, said


def _session(entry: Entry) -> tuple[int, int, Event]:
    body = entry["body"]
    said = {
        "user": {"name": body["user"]},
        "dst_endpoint": {"uid": body["uid"]},
        "device": {"uid": body["uid"], "type_id": UNKNOWN},
    }
    return AUTHENTICATION, LOGON, said | _span(body, "from", "to")


def _operation(entry: Entry) -> tuple[int, int, Event]:
    body = entry["body"]
    said = {
        "command_uid": body["uid"],
        "device": {"uid": body["instance"] or body["uid"], "type_id": UNKNOWN},
        "message": f"{body['kind']} {body['name']} {body['event']} {body['result']}".rstrip(),
    }
    return REMEDIATION_ACTIVITY, ISOLATE if body["kind"] == "Quarantine" else EVICT, said


def _span(body: Entry, began: str, ended: str) -> Event:
    start = _milliseconds(_moment(body[began]))
    last = body.get(ended)
    if last is None:
        return {"start_time": start}
    end = _milliseconds(_moment(last))
    return {"start_time": start, "end_time": end, "duration": end - start}


def _moment(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))


def _milliseconds(moment: int) -> int:
    return moment // 1000


_SHAPES: dict[str, Callable[[Entry], tuple[int, int, Event]]] = {
    FactKind.BIRTH: _created,
    FactKind.IDENTITY: _changed,
    FactKind.DEATH: _deleted,
    FactKind.INSTANCE: _life,
    FactKind.PRESENCE: _presence,
    FactKind.VERDICT: _verdict,
    FactKind.SESSION: _session,
    FactKind.OPERATION: _operation,
}
