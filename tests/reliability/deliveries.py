"""A few days of a small marketplace as its deliveries: webhook messages, and pages that were pulled.

What belongs here: what a source sends and when. What does not: when it arrives (schedules.py). Records have several
versions; some are told by both ways, some of two ways at the same second and in other words. Seeded.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from data.contracts import Kind

BEGIN = datetime(2026, 3, 6, 14, 0, tzinfo=UTC)
"""A Friday morning in New York. On Sunday the clocks go forward."""
DAYS = 4
PULL_EVERY = timedelta(hours=16)
OVERLAP = timedelta(hours=8)
ZONES = ("America/New_York", "America/Los_Angeles", "Asia/Kolkata", "America/St_Johns")
SUBJECTS = ("algebra", "biology", "spanish")
KEYS: dict[Kind, str] = {
    "tutors": "tutor_id",
    "customers": "customer_id",
    "sessions": "session_id",
    "reschedules": "reschedule_id",
    "inbound_calls": "call_id",
    "engagement_events": "event_id",
}

Record = dict[str, Any]


@dataclass(frozen=True)
class Delivery:
    """One message (body) or one page of one kind (records), sent at an instant."""

    name: str
    sent_at: datetime
    kind: Kind | None = None
    records: tuple[Record, ...] = ()
    body: bytes | None = None


@dataclass
class Marketplace:
    """Everything that was changed and told, in the order of its changes."""

    seed: int
    sessions: int = 45
    _versions: dict[Kind, list[tuple[datetime, Record]]] = field(default_factory=dict)
    _messages: list[tuple[datetime, str, Record]] = field(default_factory=list)

    def deliveries(self) -> list[Delivery]:
        """Return all deliveries by the time at which they were sent."""
        self._random = random.Random(self.seed)
        self._versions = {kind: [] for kind in KEYS}
        self._messages = []
        self._tutors()
        self._customers()
        for number in range(self.sessions):
            self._session(number)
        self._calls()
        self._events()
        return sorted([*self._told(), *self._pulled()], key=lambda delivery: delivery.sent_at)

    def _told(self) -> list[Delivery]:
        return [
            Delivery(
                f"msg_{number:04d}",
                at + timedelta(seconds=self._random.randrange(1, 90)),
                body=json.dumps({"type": event, "timestamp": _text(at), "data": data}).encode(),
            )
            for number, (at, event, data) in enumerate(sorted(self._messages, key=lambda one: one[0]))
        ]

    def _pulled(self) -> list[Delivery]:
        """Return the pages of pulls: of each record the newest version that the API had by then."""
        pages = []
        end = BEGIN + timedelta(days=DAYS)
        at = BEGIN
        while at <= end + PULL_EVERY:
            for kind, versions in self._versions.items():
                newest: dict[str, Record] = {}
                for changed_at, record in sorted(versions, key=lambda one: one[0]):
                    if at - PULL_EVERY - OVERLAP < changed_at <= at:
                        newest[record[KEYS[kind]]] = record
                if newest:
                    pages.append(
                        Delivery(f"{kind} {at:%d %H}", at, kind=kind, records=tuple(newest.values()))
                    )
            at += PULL_EVERY
        return pages

    def _changes(
        self, kind: Kind, at: datetime, record: Record, *, stamped_at: datetime | None = None
    ) -> None:
        self._versions[kind].append((at, record | {"updated_at": _text(stamped_at or at)}))

    def _mends(self, kind: Kind, at: datetime, record: Record) -> None:
        """Change a record behind its source's back: its stamp stays, and only the digest tells which one holds."""
        if self._random.random() < 0.3:
            self._changes(kind, at + PULL_EVERY, record, stamped_at=at)

    def _some_time(self) -> datetime:
        return BEGIN + timedelta(minutes=self._random.randrange(DAYS * 24 * 60))

    def _changing(self) -> list[datetime]:
        return [
            BEGIN - timedelta(hours=6),
            *sorted(self._some_time() for _ in range(self._random.randrange(3))),
        ]

    def _tutors(self) -> None:
        pick = self._random
        for number in range(6):
            for at in self._changing():
                ends = pick.choice(["12:00", "01:30"])
                away = {"starts_on": "2026-03-08", "ends_on": "2026-03-09"}
                tutor = {
                    "tutor_id": f"tut_{number}",
                    "hired_at": _text(BEGIN - timedelta(days=number)),
                    "time_zone": pick.choice(ZONES),
                    "is_active": pick.random() < 0.8,
                    "subjects": sorted(pick.sample(SUBJECTS, 2)),
                    "availability": [{"weekday": pick.randrange(7), "start_time": "09:30", "end_time": ends}],
                    "leaves": [away] if pick.random() < 0.3 else [],
                    "full_name": f"Tutor {number}",
                }
                self._changes("tutors", at, tutor)
                self._mends("tutors", at, tutor | {"time_zone": pick.choice(ZONES)})

    def _customers(self) -> None:
        pick = self._random
        for number in range(14):
            for at in self._changing():
                reached = _text(at) if pick.random() < 0.5 else None
                customer = {
                    "customer_id": f"cus_{number:02d}",
                    "signed_up_at": _text(BEGIN - timedelta(days=20 + number)),
                    "time_zone": pick.choice([None, *ZONES]),
                    "goals": [{"goal_id": f"goal_{number}", "completed_at": reached}],
                    "email": f"customer{number}@example.test",
                }
                self._changes("customers", at, customer)
                self._mends(
                    "customers", at, customer | {"acquisition_channel": pick.choice(["search", "friend"])}
                )

    def _session(self, number: int) -> None:
        pick = self._random
        start = self._some_time().replace(minute=pick.choice([0, 30])) + timedelta(hours=2)
        session: Record = {
            "session_id": f"ses_{number:03d}",
            "tutor_id": f"tut_{pick.randrange(6)}",
            "customer_id": f"cus_{pick.randrange(14):02d}",
            "subject_id": pick.choice(SUBJECTS),
            "status": "scheduled",
            "scheduled_start_at": _text(start),
            "scheduled_end_at": _text(start + timedelta(hours=1)),
            "booked_at": _text(start - timedelta(hours=30)),
        }
        self._changes("sessions", start - timedelta(hours=30), session)
        if pick.random() < 0.3:
            session, start = self._moved(session, start, number)
        if pick.random() < 0.08:
            self._changes("sessions", start - timedelta(hours=1), session | {"status": "cancelled"})
            return
        self._held(session, start)

    def _moved(self, session: Record, start: datetime, number: int) -> tuple[Record, datetime]:
        pick = self._random
        at, later = (
            start - timedelta(hours=pick.randrange(2, 20)),
            start + timedelta(hours=pick.choice([1, 24])),
        )
        moved = session | {
            "scheduled_start_at": _text(later),
            "scheduled_end_at": _text(later + timedelta(hours=1)),
            "reschedule_count": 1,
            "rescheduled_by": pick.choice(["tutor", "student"]),
        }
        move = {
            "reschedule_id": f"move_{number:03d}",
            "session_id": session["session_id"],
            "tutor_id": session["tutor_id"],
            "customer_id": session["customer_id"],
            "rescheduled_by": moved["rescheduled_by"],
            "original_start_at": _text(start),
            "new_start_at": _text(later),
            "rescheduled_at": _text(at),
        }
        self._messages.append((at, "session.rescheduled", move | {"session": moved}))
        self._changes("sessions", at, moved)
        # The API tells why the session was moved, a little later.
        self._changes(
            "reschedules", at + timedelta(minutes=pick.randrange(2)), move | {"reason_code": "illness"}
        )
        return moved, later

    def _held(self, session: Record, start: datetime) -> None:
        pick = self._random
        end = start + timedelta(hours=1, seconds=pick.randrange(60))
        joined = _text(start + timedelta(minutes=pick.randrange(-2, 25))) if pick.random() < 0.85 else None
        held = session | {
            "status": "finished",
            "tutor_joined_at": joined,
            "tutor_left_at": _text(end) if joined else None,
            "customer_joined_at": _text(start),
            "student_rating": pick.choice([None, None, 2, 5]),
        }
        if joined is None or pick.random() < 0.1:
            self._messages.append(
                (start + timedelta(minutes=15), "tutor.no_show", session | {"status": None})
            )
        self._messages.append((end, "session.completed", held | {"status": None}))
        self._changes("sessions", end, held)
        if pick.random() < 0.2:
            # At the same second the API and the webhook differ: only the digest can tell which one holds.
            self._messages.append(
                (end, "session.updated", held | {"tutor_rating": 3, "booked_followup": True})
            )
        if pick.random() < 0.5:
            later = end + timedelta(hours=pick.choice([1, 3, 30]))
            rated = held | {"student_rating": pick.choice([1, 2, 4, 5])}
            self._messages.append((later, "session.updated", rated))
            self._changes("sessions", later, rated)
        if pick.random() < 0.15:
            later = end + timedelta(hours=40)
            given_away = held | {
                "customer_id": f"cus_{pick.randrange(14):02d}",
                "tutor_id": f"tut_{pick.randrange(6)}",
                "student_rating": None,
            }
            self._changes("sessions", later, given_away)

    def _calls(self) -> None:
        pick = self._random
        for number in range(12):
            at = self._some_time()
            caller = f"cus_{pick.randrange(14):02d}"
            call = {"call_id": f"call_{number}", "customer_id": caller, "called_at": _text(at)}
            self._changes("inbound_calls", at, call)
            self._mends("inbound_calls", at, call | {"reason_code": "billing"})
            self._changes("inbound_calls", at + timedelta(hours=20), call | {"reason_code": "tutor_quality"})

    def _events(self) -> None:
        pick = self._random
        for number in range(10):
            at = self._some_time()
            events = [
                {
                    "event_id": f"event_{number}_{part}",
                    "actor_type": "tutor",
                    "actor_id": f"tut_{pick.randrange(6)}",
                    "event_type": "login",
                    "occurred_at": _text(at),
                    "updated_at": _text(at),
                }
                for part in range(3)
            ]
            self._messages.append((at, "engagement.event", {"events": events}))
            for event in events:
                self._changes("engagement_events", at, event)
            corrected = events[0] | {"event_type": "reply"}
            self._changes("engagement_events", at + timedelta(hours=pick.choice([0, 18])), corrected)


def _text(at: datetime) -> str:
    return at.isoformat()
