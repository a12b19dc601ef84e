"""Ten thousand records as three ways in bring them, a tenth of them poisoned: what is sent, and what must come of it.

What belongs here: making records and damaging them. What does not: bringing them in and judging (poison.py).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from data.contracts import Correction, Kind

Way = Literal["pull", "message", "import"]
Damage = Callable[[dict[str, Any]], Any]
"""Changes a record in place and returns None, or returns what is sent in its place."""

BEGIN = datetime(2026, 2, 1, 9, tzinfo=UTC)
SHARES: dict[tuple[Way, Kind], int] = {
    ("pull", "sessions"): 20, ("pull", "customers"): 10, ("pull", "tutors"): 5, ("pull", "inbound_calls"): 10,
    ("pull", "reschedules"): 5, ("pull", "engagement_events"): 10, ("message", "sessions"): 12,
    ("message", "reschedules"): 4, ("message", "engagement_events"): 4, ("import", "sessions"): 14,
    ("import", "inbound_calls"): 6,
}  # fmt: skip
"""Of a hundred records, how many come so."""
HOSTILE_TEXTS = (
    "'); drop table core.fct_sessions; --", "1' or '1'='1", "<script>alert(1)</script>", "<img src=x onerror=a()>",
    '=HYPERLINK("http://evil.example","x")', "+1+cmd|' /C calc'!A0", "@SUM(1+1)", "مرحبا بالعالم", "\u202eevil\u202c",
    "👩🏽‍🏫 great 🙂", "Ｆｕｌｌ ｗｉｄｔｈ", "{{7*7}} ${jndi:ldap://x}", "../../etc/passwd", "a\tb\nc", "x" * 199,
)  # fmt: skip
"""No poison: text that must come out as it went in."""
MEGABYTE = "m" * 1_000_100
NEW_FORMAT = "%m/%d/%Y %H:%M"


@dataclass(frozen=True)
class Poison:
    """One way to spoil a record, the refusal that must follow, and the correction that mends it if one can.

    field is the name under which the source sent it, or the contract's where it is missing.
    """

    name: str
    damage: Damage
    field: str
    reason: str
    mend: Correction | None = None
    respell: Callable[[str], str] | None = None
    """Spoils the text of a record, where no object can say it."""


@dataclass(frozen=True)
class Sent:
    """One record as it is sent. text is JSON; rows of files are objects of texts."""

    way: Way
    kind: Kind
    record_id: str
    text: str
    poison: Poison | None
    said: str | None


def put(**changes: Any) -> Damage:
    """Set fields."""
    return lambda record: record.update(changes)


def rated(value: Any) -> Damage:
    """Set the student's rating."""
    return lambda record: record.update(student_feedback={"rating": value})


def renamed(old: str, new: str) -> Damage:
    """Call a field otherwise."""
    return lambda record: record.update({new: record.pop(old)})


def rewritten(name: str) -> Damage:
    """Write a time as the American clock of the source shows it."""

    def damage(record: dict[str, Any]) -> None:
        record[name] = datetime.fromisoformat(record[name]).strftime(NEW_FORMAT)

    return damage


def said_twice(name: str, again: str) -> Callable[[str], str]:
    """Say a name a second time, with another value."""
    return lambda text: f'{text[:-1]}, "{name}": {again}}}'


ID_NAMES: dict[Kind, str] = {
    "sessions": "session_id",
    "customers": "customer_id",
    "tutors": "tutor_id",
    "inbound_calls": "call_id",
    "reschedules": "reschedule_id",
    "engagement_events": "event_id",
}
STRING, FORMAT = "valid string", "is not an ISO 8601 time"
YEARS = "is outside 2000 to 2099"

SESSION_POISONS = (
    Poison("wrong type", put(tutor_id={"a": 1}), "tutor_id", STRING),
    Poison("1e308", rated(1e308), "student_rating", "less than or equal to 5"),
    Poison("year 0001", put(session_end_time="0001-01-01T00:00:00Z"), "session_end_time", YEARS),
    Poison("year 9999", put(session_start_time="9999-12-31T23:59:59Z"), "session_start_time", YEARS),
    Poison("rating 6", rated(6), "student_rating", "less than or equal to 5"),
    Poison("left before joining", put(tutor_leave_time="2026-01-01T00:00:00Z"), "tutor_left_at", "lies before"),
    Poison("U+0000", put(tutor_id="t\x00"), "tutor_id", "contains U+0000"),
    Poison("a megabyte", put(student_feedback={"description": MEGABYTE}), "student_comment", "at most 20000"),
    Poison("a lone surrogate", put(ai_summary="\ud800"), "ai_summary", STRING),
    Poison("a name said twice", put(), "tutor_id", STRING, respell=said_twice("tutor_id", '"t-other"')),
    Poison(
        "time in another format", rewritten("session_start_time"), "session_start_time", FORMAT,
        Correction("parse_time", "session_start_time", NEW_FORMAT, "UTC"),
    ),
    Poison(
        "a word of its own", put(status="done"), "status", "'finished'",
        Correction("replace", "status", "done", "finished"),
    ),
    Poison(
        "rating in words", rated("five"), "student_rating", "valid number",
        Correction("replace", "student_feedback.rating", "five", "5"),
    ),
)  # fmt: skip
NOT_A_NUMBER = Poison("NaN", rated(float("nan")), "student_rating", "finite number")
NOT_JSON = Poison("NaN", rated(float("nan")), "record", "valid dictionary")
CUSTOMER_POISONS = (
    Poison("wrong type", put(goals="none"), "goals", "valid list"),
    Poison(
        "unknown time zone", put(time_zone="Mars/Olympus"), "time_zone", "is no time zone",
        Correction("replace", "time_zone", "Mars/Olympus", "America/New_York"),
    ),
    Poison("U+0000", put(name="An\x00n"), "name", "contains U+0000"),
    Poison("a lone surrogate", put(name="Ann\udfff"), "name", STRING),
    Poison("a megabyte", put(email=MEGABYTE), "email", "at most 200"),
    Poison(
        "renamed column", renamed("customer_id", "account"), "customer_id", "Field required",
        Correction("rename", "account", new_value="customer_id"),
    ),
    Poison("a name said twice", put(), "active", "valid boolean", respell=said_twice("active", "false")),
)  # fmt: skip
TUTOR_POISONS = (
    Poison("wrong type", put(subjects={"a": 1}), "subjects", "valid list"),
    Poison("unknown time zone", put(time_zone="Eastern"), "time_zone", "is no time zone"),
    Poison(
        "weekday 7", put(availability=[{"weekday": 7, "start": "09:00", "end": "10:00"}]),
        "availability.0.weekday", "less than or equal to 6",
    ),
    Poison(
        "leave that ends before it begins", put(leave=[{"starts_on": "2026-03-02", "ends_on": "2026-03-01"}]),
        "leave.0", "lies before",
    ),
    Poison("year 9999", put(hired_at="9999-12-31T23:59:59Z"), "hired_at", YEARS),
    Poison(
        "renamed column", renamed("tutor_id", "coach"), "tutor_id", "Field required",
        Correction("rename", "coach", new_value="tutor_id"),
    ),
)  # fmt: skip
CALL_POISONS = (
    Poison("wrong type", put(customer_id=True), "customer_id", STRING),
    Poison("year 0001", put(call_date="0001-01-01T00:00:00Z"), "call_date", YEARS),
    Poison("U+0000", put(reason_code="bill\x00ing"), "reason_code", "contains U+0000"),
    Poison(
        "renamed column", renamed("call_date", "rang_at"), "called_at", "Field required",
        Correction("rename", "rang_at", new_value="call_date"),
    ),
    Poison(
        "time in another format", rewritten("call_date"), "call_date", FORMAT,
        Correction("parse_time", "call_date", NEW_FORMAT, "UTC"),
    ),
)  # fmt: skip
MOVE_POISONS = (
    Poison("unknown word", put(rescheduled_by="robot"), "rescheduled_by", "'tutor', 'student' or 'system'"),
    Poison("a lone surrogate", put(reason="\udc00"), "reason", STRING),
    Poison("wrong type", put(session_id=[1]), "session_id", STRING),
    Poison(
        "time in another format", rewritten("original_start_time"), "original_start_time", FORMAT,
        Correction("parse_time", "original_start_time", NEW_FORMAT, "UTC"),
    ),
)  # fmt: skip
EVENT_POISONS = (
    Poison("unknown word", put(actor_type="admin"), "actor_type", "'tutor' or 'customer'"),
    Poison("wrong type", put(occurred_at=1_772_366_400), "occurred_at", FORMAT),
    Poison("too long", put(event_type="x" * 201), "event_type", "at most 200"),
    Poison("a name said twice", put(), "event_type", STRING, respell=said_twice("event_type", '"other"')),
    Poison(
        "a word of its own", put(actor_type="student"), "actor_type", "'tutor' or 'customer'",
        Correction("replace", "actor_type", "student", "customer"),
    ),
)  # fmt: skip
BOOKING_POISONS = (
    Poison("rating 6", put(stars="6"), "student_rating", "less than or equal to 5"),
    Poison("NaN", put(stars="NaN"), "student_rating", "finite number"),
    Poison("1e308", put(stars="1e308"), "student_rating", "less than or equal to 5"),
    Poison("wrong type", put(stars="[]"), "student_rating", "valid number"),
    Poison("year 9999", put(begins="9999-12-31T23:59:59Z"), "scheduled_start_at", YEARS),
    Poison("left before joining", put(gone="2026-01-01T00:00:00Z"), "tutor_left_at", "lies before"),
    Poison(
        "a word of its own", put(state="done"), "status", "'finished'",
        Correction("replace", "status", "done", "finished"),
    ),
    Poison(
        "time in another format", rewritten("begins"), "scheduled_start_at", FORMAT,
        Correction("parse_time", "scheduled_start_at", NEW_FORMAT, "UTC"),
    ),
)  # fmt: skip
RANG_POISONS = (
    Poison("no time", put(rang="tomorrow"), "called_at", FORMAT),
    Poison("too long", put(why="x" * 201), "reason_code", "at most 200"),
    Poison("year 0001", put(rang="0001-01-01T00:00:00Z"), "called_at", YEARS),
)
POISONS: dict[tuple[Way, Kind], tuple[Poison, ...]] = {
    ("pull", "sessions"): (*SESSION_POISONS, NOT_A_NUMBER),
    ("pull", "customers"): CUSTOMER_POISONS,
    ("pull", "tutors"): TUTOR_POISONS,
    ("pull", "inbound_calls"): CALL_POISONS,
    ("pull", "reschedules"): MOVE_POISONS,
    ("pull", "engagement_events"): EVENT_POISONS,
    ("message", "sessions"): (*SESSION_POISONS, NOT_JSON),
    ("message", "reschedules"): MOVE_POISONS,
    ("message", "engagement_events"): EVENT_POISONS,
    ("import", "sessions"): BOOKING_POISONS,
    ("import", "inbound_calls"): RANG_POISONS,
}


def deliveries(*, seed: int, records: int, poisoned: int) -> list[Sent]:
    """Return what is sent, the same for the same seed. Poison is spread evenly over ways, kinds and its own sorts."""
    chance = random.Random(seed)
    sent: list[Sent] = []
    for (way, kind), count, spoiled in _portions(records, poisoned):
        poisons = POISONS[way, kind]
        marked = set(chance.sample(range(count), spoiled))
        sorts = iter(range(spoiled))
        for number in range(count):
            poison = poisons[next(sorts) % len(poisons)] if number in marked else None
            sent.append(_sent(way, kind, number, poison, chance))
    return sent


def _portions(records: int, poisoned: int) -> Iterator[tuple[tuple[Way, Kind], int, int]]:
    left, spoiled_left = records, poisoned
    for place, (group, share) in enumerate(SHARES.items()):
        is_last = place == len(SHARES) - 1
        count = left if is_last else records * share // 100
        spoiled = spoiled_left if is_last else poisoned * share // 100
        left, spoiled_left = left - count, spoiled_left - spoiled
        yield group, count, spoiled


def _sent(way: Way, kind: Kind, number: int, poison: Poison | None, chance: random.Random) -> Sent:
    record_id = f"{way}-{kind}-{number:06d}"
    said = chance.choice(HOSTILE_TEXTS) if poison is None and number % 3 == 0 else None
    maker = _row if way == "import" else _record
    record = maker(kind, record_id, number, said or "calm")
    if poison is not None:
        poison.damage(record)
    text = json.dumps(record)
    if poison is not None and poison.respell is not None:
        text = poison.respell(text)
    return Sent(way, kind, record_id, text, poison, said)


def _at(number: int, minutes: int = 0) -> str:
    return (BEGIN + timedelta(seconds=number, minutes=minutes)).isoformat().replace("+00:00", "Z")


def _record(kind: Kind, record_id: str, number: int, said: str) -> dict[str, Any]:
    """Return a good record in the words of the API."""
    body: dict[Kind, dict[str, Any]] = {
        "sessions": {
            "tutor_id": f"t{number % 40}", "student_id": f"c{number % 90}", "status": "finished",
            "session_start_time": _at(number), "session_end_time": _at(number, 60),
            "tutor_join_time": _at(number, 1), "tutor_leave_time": _at(number, 60),
            "subjects_covered": ["algebra"], "student_feedback": {"rating": 5, "description": said},
        },
        "customers": {
            "name": said, "email": "a@example.org", "active": True, "time_zone": "America/New_York", "goals": [],
        },
        "tutors": {
            "name": said, "active": True, "hired_at": _at(0), "subjects": ["algebra"],
            "availability": [{"weekday": 0, "start": "09:00", "end": "17:00"}], "leave": [],
        },
        "inbound_calls": {"customer_id": f"c{number % 90}", "call_date": _at(number), "reason_code": said},
        "reschedules": {
            "session_id": f"s{number}", "rescheduled_by": "tutor", "reason": said,
            "original_start_time": _at(number, 600), "new_start_time": _at(number, 900), "rescheduled_at": _at(number),
        },
        "engagement_events": {
            "actor_type": "customer", "actor_id": f"c{number % 90}", "event_type": said, "occurred_at": _at(number),
        },
    }  # fmt: skip
    return {ID_NAMES[kind]: record_id, **body[kind], "updated_at": _at(number, 120)}


def _row(kind: Kind, record_id: str, number: int, said: str) -> dict[str, Any]:
    """Return a good row of a stranger's file; every value is text."""
    if kind == "sessions":
        return {
            "booking": record_id, "coach": f"t{number % 40}", "pupil": f"c{number % 90}", "state": "finished",
            "begins": _at(number), "came": _at(number, 1), "gone": _at(number, 60), "stars": "5", "words": said,
            "changed": _at(number, 120),
        }  # fmt: skip
    return {
        "ring": record_id,
        "pupil": f"c{number % 90}",
        "rang": _at(number),
        "why": said,
        "changed": _at(number, 120),
    }


IMPORTS: dict[Kind, dict[str, Any]] = {
    "sessions": {
        "name": "poisoned_bookings",
        "kind": "sessions",
        "describes": "Bookings of a stranger, some of them poisoned.",
        "time_zone": "UTC",
        "fields": {
            "session_id": "booking", "tutor_id": "coach", "customer_id": "pupil", "status": "state",
            "scheduled_start_at": "begins", "tutor_joined_at": "came", "tutor_left_at": "gone",
            "student_rating": "stars", "student_comment": "words", "updated_at": "changed",
        },
        "constants": {"join_kind": "meeting", "reports_attendance": True, "reports_customer_attendance": False},
    },
    "inbound_calls": {
        "name": "poisoned_calls",
        "kind": "inbound_calls",
        "describes": "Calls of a stranger, some of them poisoned.",
        "time_zone": "UTC",
        "fields": {
            "call_id": "ring", "customer_id": "pupil", "called_at": "rang", "reason_code": "why",
            "updated_at": "changed",
        },
    },
}  # fmt: skip
"""Mappings of the files, as a mapping file says it."""
