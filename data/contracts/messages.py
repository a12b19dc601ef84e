"""What a webhook message carries: which kind of record, and the record in the shape of its contract.

Used by the receiver (to judge one session at once) and by ingestion (to take messages in), so that both read a
message in the same way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from data.contracts.records import Kind

KIND_OF_TYPE: dict[str, Kind] = {
    "session.completed": "sessions",
    "session.updated": "sessions",
}
"""Types of webhook that are understood."""


@dataclass(frozen=True)
class Message:
    """One webhook message, read. The record may still be refused by its contract."""

    kind: Kind
    type: str
    record: Any


def read_message(body: bytes, *, received_at: datetime) -> Message:
    """Read a message body. Takes the Standard Webhooks envelope {type, timestamp, data} and the bare payload.

    A body that cannot be read becomes a message whose record the contract refuses: it is kept and explained,
    not dropped.
    """
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Message("sessions", "unreadable", body.decode("utf-8", "replace")[:2_000])
    if not isinstance(document, dict):
        return Message("sessions", "unreadable", document)
    kind_of_event = document.get("type", "session.completed")
    if not isinstance(kind_of_event, str):
        kind_of_event = f"of a {type(kind_of_event).__name__}"
    record = document.get("data", document)
    kind = KIND_OF_TYPE.get(kind_of_event)
    if kind is None:
        return Message("sessions", kind_of_event, f"no webhook of type {kind_of_event[:100]!r} is understood")
    if isinstance(record, dict):
        record = _completed(record, at=document.get("timestamp") or received_at.isoformat())
    return Message(kind, kind_of_event, record)


def _completed(record: dict[str, Any], *, at: Any) -> dict[str, Any]:
    # The seed's payload (S1) has neither status nor updated_at: the event itself says that the session ended.
    return {"status": "finished", "updated_at": at} | {
        name: value
        for name, value in record.items()
        if not (name in ("status", "updated_at") and value is None)
    }


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
