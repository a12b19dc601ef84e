"""What a webhook message carries: which kinds of record, and the records in the shape of their contracts.

Used by the receiver (to judge one session at once) and by ingestion (to take messages in), so that both read a
message in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from data.contracts.json_text import names_once
from data.contracts.records import Kind


@dataclass(frozen=True)
class Part:
    """One record of a message. Its contract may still refuse it."""

    kind: Kind
    record: Any


@dataclass(frozen=True)
class Message:
    """One webhook message, read: its type, and the records that it brings."""

    type: str
    parts: tuple[Part, ...]


def read_message(body: bytes, *, received_at: datetime) -> Message:
    """Read a message body. Takes the Standard Webhooks envelope {type, timestamp, data} and the bare payload.

    A body that cannot be read becomes a record that the contract refuses: it is kept and explained, not dropped.
    """
    try:
        document = json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=names_once)
    except (ValueError, RecursionError):
        return _unreadable("unreadable", body.decode("utf-8", "replace")[:2_000])
    if not isinstance(document, dict):
        return _unreadable("unreadable", document)
    kind_of_event = document.get("type", "session.completed")
    if not isinstance(kind_of_event, str):
        kind_of_event = f"of a {type(kind_of_event).__name__}"
    reader = READERS.get(kind_of_event)
    if reader is None:
        return _unreadable(kind_of_event, f"no webhook of type {kind_of_event[:100]!r} is understood")
    data = document.get("data", document)
    at = document.get("timestamp") or received_at.isoformat()
    if not isinstance(data, dict):
        return Message(kind_of_event, (Part(MAIN_KINDS.get(kind_of_event, "sessions"), data),))
    return Message(kind_of_event, reader(data, at))


def _unreadable(kind_of_event: str, record: Any) -> Message:
    return Message(kind_of_event, (Part("sessions", record),))


def _ended(data: dict[str, Any], at: Any) -> tuple[Part, ...]:
    # The seed's payload (S1) has neither status nor updated_at: the event itself says that the session ended.
    return (Part("sessions", _with(data, status="finished", updated_at=at)),)


def _not_joined(data: dict[str, Any], at: Any) -> tuple[Part, ...]:
    # Said while the session still runs: a later session.completed may know that the tutor came after all.
    told = {name: value for name, value in data.items() if name not in ("tutor_join_time", "tutor_joined_at")}
    return (Part("sessions", _with(told, status="finished", updated_at=at)),)


def _rescheduled(data: dict[str, Any], at: Any) -> tuple[Part, ...]:
    move = {name: value for name, value in data.items() if name != "session"}
    parts = [Part("reschedules", _with(move, rescheduled_at=at, updated_at=at))]
    if data.get("session") is not None:
        session = data["session"]
        if isinstance(session, dict):
            session = _with(session, status="scheduled", updated_at=at)
        parts.append(Part("sessions", session))
    return tuple(parts)


def _engaged(data: dict[str, Any], at: Any) -> tuple[Part, ...]:
    events = data.get("events", [data])
    if not isinstance(events, list):
        return (Part("engagement_events", data),)
    return tuple(
        Part("engagement_events", _with(event, updated_at=at) if isinstance(event, dict) else event)
        for event in events
    )


READERS: dict[str, Callable[[dict[str, Any], Any], tuple[Part, ...]]] = {
    "session.completed": _ended,
    "session.updated": _ended,
    "session.rescheduled": _rescheduled,
    "tutor.no_show": _not_joined,
    "engagement.event": _engaged,
}
"""Types of webhook that are understood, and how their data becomes records."""
MAIN_KINDS: dict[str, Kind] = {"session.rescheduled": "reschedules", "engagement.event": "engagement_events"}
"""What a type is about, where that is not a session."""


def _with(record: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Return a record whose missing or empty fields are filled."""
    return defaults | {
        name: value for name, value in record.items() if not (name in defaults and value is None)
    }


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
