"""A small marketplace to build the warehouse from: seeded, day by day, with the oddities that matter.

What belongs here: records as feeds deliver them. What does not: expectations (they are the tests').
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from data.contracts import Kind

ZONE = ZoneInfo("America/New_York")
SUBJECTS = ("algebra", "biology", "spanish")
FIRST_DAY = date(2026, 2, 16)
"""Three weeks on, the clocks go forward: 2026-03-08 has 23 hours."""
NEW_APP_DAY = FIRST_DAY + timedelta(days=16)
"""From here on sessions carry a field that no contract knows."""


@dataclass
class Delivery:
    """What one feed brings on one day."""

    source: str
    kind: Kind
    records: list[dict[str, Any]] = field(default_factory=list)


def instant(day: date, hour: float) -> datetime:
    """Return an hour of a business day as an aware instant."""
    return datetime.combine(day, time(), ZONE).astimezone(UTC) + timedelta(hours=hour)


def _coming_hours(day: date, *, days: int) -> list[tuple[datetime, float]]:
    begin, end = instant(day + timedelta(days=1), 0), instant(day + timedelta(days=1 + days), 0)
    hours = [begin + timedelta(hours=number) for number in range(int((end - begin).total_seconds() // 3600))]
    return [
        (hour.replace(tzinfo=None), 1.0 if 15 <= hour.astimezone(ZONE).hour <= 20 else 0.0) for hour in hours
    ]


class World:
    """A marketplace with twelve tutors, forty customers and a ticket system beside it."""

    def __init__(self, *, seed: int = 7, sessions_per_day: int = 24) -> None:
        self._random = random.Random(seed)
        self._per_day = sessions_per_day
        self.tutors = [f"tut_{number:02d}" for number in range(12)]
        self.customers = [f"cus_{number:02d}" for number in range(40)]

    def registers(self) -> list[Delivery]:
        """Return tutors and customers as they are before the first day."""
        before = instant(FIRST_DAY - timedelta(days=3), 9)
        tutors = [
            {
                "tutor_id": tutor,
                "hired_at": instant(FIRST_DAY + timedelta(days=number - 6), 9),
                "time_zone": ("America/New_York", "America/Los_Angeles")[number % 2],
                "is_active": number != 11,
                "subjects": [SUBJECTS[number % 3], SUBJECTS[(number + 1) % 3]],
                "availability": [
                    {"weekday": weekday, "start_time": "09:30", "end_time": "18:00"} for weekday in range(6)
                ],
                "leaves": [{"starts_on": date(2026, 3, 2), "ends_on": date(2026, 3, 4)}]
                if number == 3
                else [],
                "updated_at": before,
            }
            for number, tutor in enumerate(self.tutors)
        ]
        customers = [
            {
                "customer_id": customer,
                "signed_up_at": instant(FIRST_DAY - timedelta(days=self._random.randrange(60)), 12),
                "acquisition_channel": self._random.choice(["search", "friend"]),
                "goals": self._goals(customer),
                "updated_at": before,
            }
            for customer in self.customers[:-2]
        ]
        return [Delivery("rails.pull", "tutors", tutors), Delivery("rails.pull", "customers", customers)]

    def _goals(self, customer: str) -> list[dict[str, Any]]:
        begun = instant(FIRST_DAY - timedelta(days=20), 12)
        goals = [{"goal_id": f"{customer}_1", "subject_id": "algebra", "set_at": begun}]
        if self._random.random() < 0.4:
            goals[0]["completed_at"] = instant(FIRST_DAY + timedelta(days=self._random.randrange(10)), 15)
            if self._random.random() < 0.5:
                goals.append(
                    {"goal_id": f"{customer}_2", "subject_id": "biology", "set_at": goals[0]["completed_at"]}
                )
        return goals

    def day(self, day: date) -> list[Delivery]:
        """Return all that arrives on one day: that day's sessions finished, calls, events and tickets."""
        sessions = [self._session(day, number) for number in range(self._per_day)]
        if day >= NEW_APP_DAY:
            sessions = [session | {"mood": "calm"} for session in sessions]
        booked = [self._as_booked(session) for session in sessions if session["booked_at"] < instant(day, 0)]
        calls = [
            {
                "call_id": f"call_{day}_{number}",
                "customer_id": self._random.choice(self.customers[:8]),
                "called_at": instant(day, 10 + number),
                "reason_code": self._random.choice(["billing", "tutor_quality"]),
                "updated_at": instant(day, 10 + number),
            }
            for number in range(2)
        ]
        events = [
            {
                "event_id": f"event_{day}",
                "actor_type": "tutor",
                "actor_id": self.tutors[0],
                "event_type": "login",
                "occurred_at": instant(day, 8),
                "updated_at": instant(day, 8),
            }
        ]
        moves = [self._move(session) for session in sessions if session["reschedule_count"]]
        webhook, pulled = sessions[::2], sessions[1::2]
        broken = [{"session_id": f"broken_{day}", "status": "finished", "updated_at": instant(day, 9)}]
        return [
            Delivery("rails.pull", "sessions", booked),
            Delivery("rails.webhook", "sessions", webhook),
            Delivery("rails.pull", "sessions", pulled + broken),
            Delivery("rails.pull", "inbound_calls", calls),
            Delivery("rails.pull", "reschedules", moves),
            Delivery("rails.pull", "engagement_events", events),
            Delivery("import.tickets", "sessions", [self._ticket(day, number) for number in range(3)]),
        ]

    @staticmethod
    def forecasts(day: date) -> pl.DataFrame:
        """Return a plain forecast made at the end of a day: one session an hour in the afternoon."""
        rows = [
            {
                "subject_id": subject,
                "hour_start_at": hour,
                "forecast_origin_date": day,
                "model_version": "plain",
                "is_champion": True,
                "expected_sessions": expected,
                "lower_95": 0.0,
                "upper_95": 4.0 * expected,
            }
            for subject in SUBJECTS
            for hour, expected in _coming_hours(day, days=3)
        ]
        return pl.DataFrame(rows)

    @staticmethod
    def risks(day: date) -> pl.DataFrame:
        """Return supply against that forecast: Spanish is short of tutors in the evening."""
        rows = [
            {
                "subject_id": subject,
                "hour_start_at": hour,
                "forecast_origin_date": day,
                "model_version": "plain",
                "supply_hours": 0.4 * expected if subject == "spanish" else 2 * expected,
                "demand_hours": expected,
                "ratio": None if expected == 0 else 0.4 if subject == "spanish" else 2.0,
                "p_shortage": 0.9 if subject == "spanish" else 0.05,
                "p_surplus": 0.02 if subject == "spanish" else 0.8,
                "expected_unmet_sessions": 2.0 * expected if subject == "spanish" else 0.0,
            }
            for subject in SUBJECTS
            for hour, expected in _coming_hours(day, days=1)
        ]
        return pl.DataFrame(rows, schema_overrides={"ratio": pl.Float64})

    def _session(self, day: date, number: int) -> dict[str, Any]:
        pick = self._random
        start = instant(day, pick.choice([9, 10, 15, 16, 16, 17, 17, 18, 19, 20]) + pick.choice([0, 0.5]))
        end = start + timedelta(hours=1)
        fate = pick.random()
        finished = fate >= 0.08
        joined = start + timedelta(minutes=max(-3.0, pick.gauss(2, 5))) if fate >= 0.12 else None
        rated = finished and joined is not None and pick.random() < 0.7
        moved = pick.random() < 0.1
        return {
            "session_id": f"ses_{day}_{number:03d}",
            "tutor_id": None if number == 5 else pick.choice(self.tutors[:-1]),
            "customer_id": pick.choice(self.customers),
            "subject_id": pick.choice(SUBJECTS),
            "status": "finished" if finished else "cancelled",
            "scheduled_start_at": start,
            "scheduled_end_at": end,
            "tutor_joined_at": joined if finished else None,
            "tutor_left_at": end - timedelta(minutes=pick.choice([0, 0, 0, 15]))
            if finished and joined
            else None,
            "customer_joined_at": start if finished and pick.random() > 0.03 else None,
            "is_first_reported": pick.random() < 0.1,
            "reschedule_count": int(moved),
            "rescheduled_by": "tutor" if moved else None,
            "student_rating": float(pick.choice([1, 2, 3, 4, 4, 5, 5, 5, 5])) if rated else None,
            "booked_at": start - timedelta(hours=pick.choice([2, 30, 60])),
            "updated_at": end + timedelta(minutes=5),
        }

    @staticmethod
    def _move(session: dict[str, Any]) -> dict[str, Any]:
        moved_at = session["booked_at"] + timedelta(minutes=30)
        return {
            "reschedule_id": f"rsc_{session['session_id']}",
            "session_id": session["session_id"],
            "tutor_id": session["tutor_id"],
            "customer_id": session["customer_id"],
            "rescheduled_by": session["rescheduled_by"],
            "reason_code": "illness",
            "original_start_at": session["scheduled_start_at"] - timedelta(hours=1),
            "new_start_at": session["scheduled_start_at"],
            "rescheduled_at": moved_at,
            "updated_at": moved_at,
        }

    @staticmethod
    def _as_booked(session: dict[str, Any]) -> dict[str, Any]:
        kept = (
            "session_id",
            "tutor_id",
            "customer_id",
            "subject_id",
            "scheduled_start_at",
            "scheduled_end_at",
        )
        return {name: session[name] for name in kept} | {
            "status": "scheduled",
            "booked_at": session["booked_at"],
            "updated_at": session["booked_at"],
        }

    def _ticket(self, day: date, number: int) -> dict[str, Any]:
        opened = instant(day, 8 + number)
        return {
            "session_id": f"ticket_{day}_{number}",
            "tutor_id": f"agent_{number % 2}" if number else None,
            "customer_id": f"caller_{self._random.randrange(5)}",
            "subject_id": "email",
            "status": "finished",
            "scheduled_start_at": opened,
            "scheduled_end_at": opened + timedelta(hours=3),
            "tutor_joined_at": opened + timedelta(minutes=50),
            "tutor_left_at": opened + timedelta(hours=2),
            "reports_attendance": False,
            "reports_customer_attendance": False,
            "join_kind": "queue",
            "reported_late": number == 2,
            "updated_at": opened + timedelta(hours=3),
        }
