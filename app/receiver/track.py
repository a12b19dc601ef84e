"""What the apps report themselves (S5): events judged at once, and kept together as one durable drop.

A drop is the webhook message engagement.event with the valid events, so it meets the same upsert path. Its id and
the ids of events without one follow from the content: a request that is repeated lands on itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from app.problems import Problem
from data.contracts import Correction, Refusal, judge
from data.contracts.corrections import corrected
from data.landing import TRACK_SOURCE, Drop

LARGEST_BODY_BYTES = 512 * 1024
MOST_EVENTS = 500
WANTED = 'one event, or {"events": [...]}'
CONTENT_FIELDS = ("actor_type", "actor_id", "event_type", "occurred_at", "session_id")
"""What makes an event itself: two events without an id that agree in these are one."""


@dataclass(frozen=True)
class Tracked:
    """What came of a request: the drop of its valid events, None if there were none; a result per event, in order."""

    drop: Drop | None
    results: tuple[dict[str, Any], ...]
    kept_count: int


def read_events(body: bytes) -> list[Any]:
    """Return the events of a body. Raises Problem (400) for a body that is not one event or a list of them."""
    try:
        document = from_json(body, allow_inf_nan=False)
        json.dumps(document, allow_nan=False)  # 1e999 is read as infinity, which nobody could read again
    except ValueError:
        raise Problem(400, "Not JSON", f"the body is {WANTED}, as JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise Problem(400, "Not an event", f"the body is {WANTED}")
    events = document.get("events", [document])
    if not isinstance(events, list) or not 1 <= len(events) <= MOST_EVENTS:
        raise Problem(400, "Not a list of events", f"events is a list of 1 to {MOST_EVENTS} events")
    return events


def track(events: Sequence[Any], *, corrections: Sequence[Correction], received_at: datetime) -> Tracked:
    """Judge events one by one, as ingestion will. A refused one never holds back a good one."""
    kept: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for index, event in enumerate(events):
        found = _completed(event, corrections, received_at)
        if isinstance(found, Refusal):
            results.append(
                {"index": index, "status": "refused", "field": found.field, "reason": found.reason}
            )
        else:
            kept.append(found.event)
            results.append({"index": index, "status": "kept", "event_id": found.event_id})
    return Tracked(_drop(kept, received_at) if kept else None, tuple(results), len(kept))


@dataclass(frozen=True)
class _Completed:
    event_id: str
    event: dict[str, Any]


def _completed(event: Any, corrections: Sequence[Correction], received_at: datetime) -> _Completed | Refusal:
    mended = corrected(event, corrections)
    lacks = [
        name for name in ("event_id", "updated_at") if isinstance(mended, dict) and mended.get(name) is None
    ]
    # Filled for the judge only, so that it names what is really wrong with an event and not what we can add.
    stand_in = dict.fromkeys(lacks, received_at.isoformat())
    judged = judge("engagement_events", [mended | stand_in if lacks else mended])
    if judged.refusals:
        return judged.refusals[0]
    row = judged.rows[0]
    added = {}
    if "event_id" in lacks:
        added["event_id"] = _derived_id(row)
    if "updated_at" in lacks:
        # A fact does not change: its version is as old as what it tells, whenever and however often it is sent.
        added["updated_at"] = row["occurred_at"].replace(tzinfo=UTC).isoformat()
    # Otherwise kept as it was sent: ingestion applies the corrections itself, and sees what the apps send.
    return _Completed(added.get("event_id", row["event_id"]), event | added)


def _derived_id(row: dict[str, Any]) -> str:
    content = [row[name].isoformat() if name == "occurred_at" else row[name] for name in CONTENT_FIELDS]
    return f"evt_{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]}"


def _drop(events: list[dict[str, Any]], received_at: datetime) -> Drop:
    message = {"type": "engagement.event", "data": {"events": events}}
    body = json.dumps(message, sort_keys=True, separators=(",", ":")).encode()
    return Drop(f"track_{hashlib.sha256(body).hexdigest()}", received_at, body, TRACK_SOURCE)
