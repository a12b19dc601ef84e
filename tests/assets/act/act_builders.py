"""Small things that the tests of acting are made of: candidates, people, passes of the rules, made-up marts."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import polars as pl
import sqlalchemy as sa

from assets.act.mails import announce, unannounced_episodes
from assets.act.names import Names
from assets.resources import House
from data.lake.writer import LakeWriter
from data.operations import publications, roster, users
from data.operations.observe import Candidate, ObserveReport, observe
from data.operations.publications import Publication
from data.operations.tables import OutboxRow, Role, User
from data.rulebook import alert_rules

NOON = datetime(2026, 3, 2, 17, tzinfo=UTC)
"""Noon in New York."""
TODAY = date(2026, 3, 2)

CANDIDATE_TABLE = (
    "create or replace table lake.marts.fct_alert_candidates (alert_key varchar, rule_code varchar, "
    "entity_type varchar, entity_id varchar, severity varchar, evidence varchar, tutor_id varchar, "
    "customer_id varchar, session_id varchar, occurred_at timestamp, as_of_date date)"
)
RULE_TABLE = (
    "create or replace table lake.rulebook.alert_rules (rule_code varchar, title varchar, severity varchar, "
    "kind varchar, cooldown_hours bigint, audience varchar, recommended_action varchar)"
)
KPI_TABLE = (
    "create or replace table lake.marts.fct_daily_kpis (as_of_date date, sessions_today bigint, "
    "rating_7d double, no_show_rate_7d double, reschedule_rate_7d double)"
)
MADE_UP = ("marts.fct_alert_candidates", "rulebook.alert_rules", "marts.fct_daily_kpis")


def a_no_show(session_id: str = "S-1", tutor_id: str | None = "T-1", **changes: Any) -> Candidate:
    fields: dict[str, Any] = {
        "alert_key": f"tutor_no_show:session:{session_id}",
        "rule_code": "tutor_no_show",
        "entity_type": "session",
        "entity_id": session_id,
        "severity": "critical",
        "evidence": {"measure": "minutes waited", "value": 15},
        "tutor_id": tutor_id,
        "session_id": session_id,
        "occurred_at": NOON,
    }
    return Candidate(**(fields | changes))


def a_condition(
    rule_code: str = "tutor_health_low", entity_id: str = "T-1", severity: str = "high", **changes: Any
) -> Candidate:
    entity_type = {"customer_health_critical": "customer", "supply_shortage": "subject"}.get(
        rule_code, "tutor"
    )
    fields: dict[str, Any] = {
        "alert_key": f"{rule_code}:{entity_type}:{entity_id}",
        "rule_code": rule_code,
        "entity_type": entity_type,
        "entity_id": entity_id,
        "severity": severity,
        "evidence": {"score": 41.5},
        "tutor_id": entity_id if entity_type == "tutor" else None,
        "customer_id": entity_id if entity_type == "customer" else None,
    }
    return Candidate(**(fields | changes))


def find(
    house: House,
    *candidates: Candidate,
    at: datetime = NOON,
    day: date = TODAY,
    is_partial: bool = False,
) -> ObserveReport:
    """One pass of the rules, as the fast lane makes it, or the receiver (is_partial)."""
    with house.operations.session() as session:
        return observe(
            session,
            candidates,
            alert_rules(house.settings),
            as_of_date=day,
            publication_id=None,
            now=at,
            compose=lambda _: (),
            is_partial=is_partial,
        )


def past_the_baseline(house: House) -> None:
    find(house)


def tell(house: House, *, at: datetime = NOON, names: Names | None = None) -> int:
    """Queue what nobody was told of. Returns how many mails are new."""
    with house.operations.session() as session:
        plan = unannounced_episodes(session, house.settings, now=at)
        return announce(session, plan, names or Names(), house.settings, now=at)


def due(house: House, *, at: datetime = NOON) -> int:
    with house.operations.session() as session:
        return len(unannounced_episodes(session, house.settings, now=at).deliveries)


def mails(house: House, kind: str = "alert") -> list[OutboxRow]:
    with house.operations.session() as session:
        query = sa.select(OutboxRow).where(OutboxRow.kind == kind)
        return list(
            session.scalars(query.order_by(OutboxRow.created_at, OutboxRow.recipient, OutboxRow.subject))
        )


def a_person(house: House, email: str, *, role: str = "coach", tutors: Iterable[str] = ()) -> User:
    with house.operations.session() as session:
        user, _ = users.create_user(
            session,
            email=email,
            name=email.partition("@")[0].capitalize(),
            role=cast("Role", role),
            actor="test",
            now=NOON,
        )
        if list(tutors):
            roster.assign(session, list(tutors), coach_id=user.user_id, actor="test", now=NOON)
        return user


def publish(house: House, *, snapshot_id: int = 1, day: date = TODAY, at: datetime = NOON) -> int:
    with house.operations.session() as session:
        outcome = publications.publish(
            session, snapshot_id=snapshot_id, lane="fast", as_of_date=day, checks={}, now=at
        )
        assert isinstance(outcome, Publication)
        return outcome.publication_id


def make_marts(lake: LakeWriter, house: House, *candidates: Candidate, day: date = TODAY) -> None:
    """Stand in for the marts that acting reads."""
    for statement in (CANDIDATE_TABLE, RULE_TABLE, KPI_TABLE):
        lake.connection.execute(statement)
    for rule in alert_rules(house.settings).values():
        lake.connection.execute(
            "insert into lake.rulebook.alert_rules values (?, ?, ?, ?, ?, ?, ?)",
            [
                rule.rule_code,
                rule.title,
                rule.severity,
                rule.kind,
                int(rule.cooldown_hours),
                rule.audience,
                rule.recommended_action,
            ],
        )
    put_candidates(lake, *candidates, day=day)


def put_candidates(lake: LakeWriter, *candidates: Candidate, day: date = TODAY) -> None:
    lake.connection.execute("delete from lake.marts.fct_alert_candidates where as_of_date = ?", [day])
    for one in candidates:
        occurred_at = one.occurred_at.replace(tzinfo=None) if one.occurred_at else None
        lake.connection.execute(
            "insert into lake.marts.fct_alert_candidates values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                one.alert_key,
                one.rule_code,
                one.entity_type,
                one.entity_id,
                one.severity,
                json.dumps(dict(one.evidence)),
                one.tutor_id,
                one.customer_id,
                one.session_id,
                occurred_at,
                day,
            ],
        )


def put_names(lake: LakeWriter, who: str, names: list[tuple[str, str | None, datetime]]) -> None:
    rows = [
        {
            f"{who}_id": identifier,
            "version_hash": f"{number}",
            "ingested_at": at.replace(tzinfo=None),
            "full_name": name,
        }
        for number, (identifier, name, at) in enumerate(names)
    ]
    lake.append(f"pii.{who}s", pl.DataFrame(rows, infer_schema_length=None))


def letters(folder: Path) -> list[EmailMessage]:
    return [
        cast("EmailMessage", message_from_bytes(file.read_bytes(), policy=policy.default))
        for file in sorted(folder.glob("*.eml"))
    ]
