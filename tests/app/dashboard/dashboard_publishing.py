"""Puts a small marketplace, its alerts and its people into a state folder, as a publication would."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dashboard_tables
from dashboard_days import REFUSED
from dashboard_marketplace import COACHED, Marketplace

from data.lake.intake import Arrival, take_in
from data.lake.writer import LakeWriter, open_writer
from data.operations import episodes, observe, publications, roster, users
from data.operations.store import Operations, open_operations
from data.operations.tables import Role
from data.postgres import open_postgres
from data.settings import Settings

PASSWORD = "a calm and long password"
RULES = {
    rule.rule_code: rule
    for rule in (
        observe.Rule(
            "tutor_no_show",
            "Tutor did not join",
            "critical",
            "event",
            24,
            "coach",
            "Call the tutor, then offer the customer a new session today",
        ),
        observe.Rule(
            "tutor_late",
            "Tutor joined late",
            "medium",
            "event",
            24,
            "coach",
            "Ask the tutor what held them up; watch the next sessions",
        ),
        observe.Rule(
            "tutor_health_low",
            "Tutor health is low",
            "high",
            "condition",
            0,
            "coach",
            "Go through the cost of each component with the tutor",
        ),
        observe.Rule(
            "customer_health_critical",
            "Customer health is critical",
            "high",
            "condition",
            0,
            "operator",
            "Call the customer; start with the weakest component",
        ),
        observe.Rule(
            "supply_shortage",
            "Demand will not be met",
            "medium",
            "condition",
            24,
            "operator",
            "Ask tutors of the subject for hours in this block",
        ),
    )
}


@dataclass(frozen=True)
class Account:
    """Somebody who can sign in."""

    user_id: int
    email: str
    role: Role


def add_account(operations: Operations, role: Role, *, now: datetime, name: str | None = None) -> Account:
    """Create a person with the test password."""
    with operations.session() as session:
        user, token = users.create_user(
            session,
            email=f"{role}@example.org",
            name=name or f"{role.capitalize()} Example",
            role=role,
            actor="test",
            now=now,
        )
        users.set_password(session, token=token, password=PASSWORD, now=now)
        return Account(user.user_id, user.email, user.role)


def publish_marketplace(
    settings: Settings,
    now: datetime,
    frames: Mapping[str, Sequence[dict[str, Any]]] | None = None,
    *,
    names: bool = True,
) -> Operations:
    """Write the relations and publish them, without people and alerts."""
    operations = open_operations(open_postgres(settings))
    marketplace = Marketplace(now)
    with open_writer(settings) as writer:
        if names:
            dashboard_tables.write_personal(writer, marketplace.personal())
            refuse_some(writer, now)
        chosen = marketplace.frames(settings) if frames is None else frames
        snapshot = dashboard_tables.build(writer, settings, chosen)
    with operations.session() as session:
        publications.publish(
            session,
            snapshot_id=snapshot,
            lane="fast",
            as_of_date=marketplace.today,
            checks={"run_id": "r-1", "run_count": 54, "failed": []},
            now=now - timedelta(minutes=3),
        )
    return operations


def refuse_some(writer: LakeWriter, now: datetime) -> None:
    """Let sessions be refused as marts.rpt_quarantine of the test marketplace tells it."""
    broken: dict[str, Any] = {
        "student_rating": {
            "student_feedback": {"rating": 6, "description": "<b>Too fast</b>, said Ada Archer"}
        },
        "updated_at": {"updated_at": "2026-03-01T11:00:00"},
        "status": {"status": "done"},
    }
    records = [
        {
            "session_id": f"{field}-{number:03d}",
            "status": "finished",
            "scheduled_start_at": "2026-03-01T10:00:00Z",
            "updated_at": "2026-03-01T11:00:00Z",
        }
        | broken[field]
        for field, _, count in REFUSED
        for number in range(count)
    ]
    at = now - timedelta(hours=30)
    take_in(writer, "sessions", records, Arrival("rails.pull", at, at.date()))


def open_alerts(operations: Operations, now: datetime) -> None:
    """Let alerts open, be worked on and close over a month."""
    with operations.session() as session:
        _observe(session, [], now - timedelta(days=32))
    standing: dict[str, observe.Candidate] = {}
    for back in range(29, -1, -1):
        at = now - timedelta(days=back, minutes=7 * back % 50 + 5)
        for number in range(back % 3 + 1):
            candidate = _candidate(back * 3 + number, at)
            standing[candidate.alert_key] = candidate
        gone = [key for place, key in enumerate(list(standing)) if (place + back) % 4 == 0 and back > 2]
        for key in gone:
            del standing[key]
        with operations.session() as session:
            _observe(session, list(standing.values()), at)
            open_ones = episodes.list_episodes(session)
            if back % 5 == 3 and open_ones:
                last = open_ones[-1]
                episodes.resolve(
                    session,
                    last.episode_id,
                    notes="Talked to the tutor.",
                    coach_agreed=back % 2 == 0,
                    version=last.version,
                    actor="user:1",
                    now=at,
                )


def open_one(operations: Operations, *, session_id: str, tutor_id: str, at: datetime) -> uuid.UUID:
    """Open one alert about a missed session, as the receiver does, and return it."""
    candidate = observe.Candidate(
        f"tutor_no_show:session:{session_id}",
        "tutor_no_show",
        "session",
        session_id,
        "critical",
        {"measure": "tutor_no_show", "value": 1},
        tutor_id=tutor_id,
        session_id=session_id,
        occurred_at=at,
    )
    with operations.session() as session:
        report = observe.observe(
            session,
            [candidate],
            RULES,
            as_of_date=at.date(),
            publication_id=None,
            now=at,
            compose=lambda _: (),
            is_partial=True,
        )
        return next(change.episode.episode_id for change in report.changes)


def give_roster(operations: Operations, coach: Account, now: datetime) -> None:
    """Put the coached tutors on the coach's roster."""
    with operations.session() as session:
        roster.assign(session, COACHED, coach_id=coach.user_id, actor="test", now=now)


def _observe(session: Any, candidates: Sequence[observe.Candidate], at: datetime) -> None:
    observe.observe(
        session, candidates, RULES, as_of_date=at.date(), publication_id=1, now=at, compose=lambda _: ()
    )


def _candidate(number: int, at: datetime) -> observe.Candidate:
    tutor, customer = f"t-{number % 9 + 1:03d}", f"c-{number % 30 + 1:03d}"
    start = (at - timedelta(hours=1)).isoformat()
    kinds = (
        observe.Candidate(
            f"tutor_no_show:session:s-{number}",
            "tutor_no_show",
            "session",
            f"s-{number}",
            "critical",
            {
                "measure": "tutor_no_show",
                "value": 1,
                "threshold": 1,
                "scheduled_start_at": start,
                "subject_id": "algebra",
            },
            tutor_id=tutor,
            customer_id=customer,
            session_id=f"s-{number}",
            occurred_at=at,
        ),
        observe.Candidate(
            f"tutor_late:session:s-{number}",
            "tutor_late",
            "session",
            f"s-{number}",
            "medium",
            {
                "measure": "late_minutes",
                "value": 14.2,
                "threshold": 10,
                "scheduled_start_at": start,
                "subject_id": "physics",
            },
            tutor_id=tutor,
            customer_id=customer,
            session_id=f"s-{number}",
            occurred_at=at,
        ),
        observe.Candidate(
            f"tutor_health_low:tutor:{tutor}",
            "tutor_health_low",
            "tutor",
            tutor,
            "high",
            {
                "score_code": "THS",
                "formula_version": "v1",
                "score": 48.3,
                "threshold": 55,
                "tier": "high_risk",
                "sample_size": 11,
                "components": [
                    {"name": "reschedules", "value": 0.775, "weight": 40, "points": -31.0},
                    {"name": "no_shows", "value": 0.5, "weight": 30, "points": -15.0},
                    {"name": "lateness", "value": 0.19, "weight": 30, "points": -5.7},
                ],
            },
            tutor_id=tutor,
            occurred_at=at,
        ),
        observe.Candidate(
            f"customer_health_critical:customer:{customer}",
            "customer_health_critical",
            "customer",
            customer,
            "high",
            {"score": 32.0, "tier": "critical", "sample_size": 6},
            customer_id=customer,
            occurred_at=at,
        ),
        observe.Candidate(
            f"supply_shortage:subject:algebra:{at:%Y-%m-%dT}17",
            "supply_shortage",
            "subject",
            "algebra",
            "medium",
            {
                "first_hour_at": start,
                "hour_count": 3,
                "worst_ratio": 0.62,
                "p_shortage": 0.81,
                "expected_unmet_sessions": 3.4,
            },
            occurred_at=at,
        ),
    )
    return kinds[number % 5]
