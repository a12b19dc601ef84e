"""Sessions by chance, as the marketplace would tell them: on time, late, cut short, missed, rated, malformed.

Whether a session is its customer's first is worked out here, independently of the warehouse, and said in the payload:
the receiver believes the payload, the warehouse looks at the history, and both must come to the same.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

EDGES = (0.0, 5.0, 10.0, 20.0)
"""Minutes at which a rule begins to hold: hit exactly, and missed by a millisecond on either side."""
ZONES = (UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=5, minutes=30)))
RATINGS = (None, None, 1, 1.5, 2, 2.0, 2.000001, 2.5, 3, 4, 5)
HELD = ("completed", "scheduled")
SPOILED_SHARE = 0.02


@dataclass
class Chance:
    """One session in the making: its payload, and what is needed to tell whether it is a first one."""

    session_id: str
    customer_id: str | None
    start_at: datetime
    status: str
    payload: dict[str, Any]


def sessions_by_chance(count: int, *, seed: int, until: datetime, prefix: str) -> list[bytes]:
    """Return the bodies of so many webhook messages, the same ones for the same seed."""
    rng = random.Random(seed)
    made = [_session(rng, f"{prefix}{number:05}", until) for number in range(count)]
    # What is refused is nobody's first session.
    spoiled = {one.session_id for one in made if rng.random() < SPOILED_SHARE}
    firsts = _first_sessions([one for one in made if one.session_id not in spoiled])
    bodies = []
    for one in made:
        if one.customer_id is not None:
            one.payload["is_first_session"] = one.session_id in firsts
        if one.session_id in spoiled:
            _spoil(rng, one.payload)
        if rng.random() < 0.5:
            sent_at = until.isoformat()
            bodies.append(
                json.dumps({"type": "session.completed", "timestamp": sent_at, "data": one.payload})
            )
        else:
            bodies.append(json.dumps(one.payload))
    return [body.encode() for body in bodies]


def _first_sessions(made: list[Chance]) -> set[str]:
    """Return the first session of each customer: held ones before those to come, then the earliest."""
    firsts: dict[str, Chance] = {}
    for one in made:
        if one.customer_id is None or one.status not in HELD:
            continue
        best = firsts.get(one.customer_id)
        if best is None or _order(one) < _order(best):
            firsts[one.customer_id] = one
    return {one.session_id for one in firsts.values()}


def _order(one: Chance) -> tuple[bool, datetime, str]:
    return one.status != "completed", one.start_at, one.session_id


def _session(rng: random.Random, session_id: str, until: datetime) -> Chance:
    start_at = until - timedelta(days=40) + timedelta(milliseconds=rng.randrange(39 * 86_400_000))
    length = timedelta(minutes=rng.choice((30, 45, 60)))
    customer_id = f"cus_chance_{rng.randrange(4_000):05}" if rng.random() < 0.97 else None
    reported = rng.choices(("finished", "cancelled", "scheduled", None), (80, 5, 5, 10))[0]
    joined_at = start_at + _minutes(rng) if rng.random() < 0.92 else None
    end_at = start_at + length if rng.random() < 0.95 else None
    left_at = None
    if joined_at is not None and rng.random() < 0.95:
        left_at = max(joined_at, start_at + length - _minutes(rng))
    student_joined_at = start_at + timedelta(minutes=rng.uniform(-3, 8)) if rng.random() < 0.93 else None
    student_left_at = start_at + length if student_joined_at and rng.random() < 0.9 else None
    payload = {
        "session_id": session_id,
        "tutor_id": f"tut_{rng.randrange(12) + 1:03}" if rng.random() < 0.98 else None,
        "student_id": customer_id,
        "subjects_covered": [rng.choice(("algebra", "physics", "biology"))],
        "status": reported,
        "session_start_time": _written(rng, start_at),
        "session_end_time": _written(rng, end_at),
        "tutor_join_time": _written(rng, joined_at),
        "tutor_leave_time": _written(rng, left_at),
        "student_join_time": _written(rng, student_joined_at),
        "student_leave_time": _written(rng, student_left_at),
        "updated_at": until.isoformat(),
    }
    _rate(rng, payload)
    status = _status(reported or "finished", joined_at, student_joined_at, student_left_at)
    return Chance(session_id, customer_id, start_at, status, payload)


def _status(
    reported: str, joined_at: datetime | None, student_joined_at: datetime | None, left_at: datetime | None
) -> str:
    if reported != "finished":
        return reported
    if joined_at is None:
        return "tutor_no_show"
    return "student_no_show" if student_joined_at is None and left_at is None else "completed"


def _minutes(rng: random.Random) -> timedelta:
    kind = rng.random()
    if kind < 0.4:
        return timedelta(milliseconds=round(rng.choice(EDGES) * 60_000) + rng.choice((-1, 0, 1)))
    if kind < 0.7:
        return timedelta(milliseconds=rng.randrange(-300_000, 300_000))
    return timedelta(microseconds=rng.randrange(40 * 60_000_000))


def _written(rng: random.Random, instant: datetime | None) -> str | None:
    if instant is None:
        return None
    return instant.astimezone(rng.choice(ZONES)).isoformat()


def _rate(rng: random.Random, payload: dict[str, Any]) -> None:
    rating = rng.choice(RATINGS)
    if rating is None:
        return
    if rng.random() < 0.5:
        payload["student_feedback"] = {"rating": rating, "description": "as agreed"}
    else:
        payload["student_rating"] = rating


def _spoil(rng: random.Random, payload: dict[str, Any]) -> None:
    """Make a payload that its contract refuses. Both ways must then say nothing of it."""
    field, value = rng.choice(
        (
            ("student_rating", 6),
            ("session_start_time", "yesterday"),
            ("session_start_time", "2026-02-30T10:00:00Z"),
            ("subjects_covered", "algebra"),
            ("session_id", None),
        )
    )
    payload[field] = value
