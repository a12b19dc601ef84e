"""The receiver and the fast lane judge the same sessions alike: one definition, two callers."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from app.receiver.judge import SessionFlagger
from assets.ingest.messages import take_messages
from data.contracts import judge
from data.contracts.messages import Message, read_message
from data.lake.intake import Arrival, take_in
from data.lake.writer import open_writer
from data.landing import WEBHOOK_SOURCE, Drop
from tests.journeys.chance_sessions import sessions_by_chance
from tests.reliability.day import copy_of_the_day
from tests.reliability.deployment import Deployment

pytestmark = pytest.mark.slow

SESSIONS = 10_000
ONE_BY_ONE = 500
"""So many are judged one at a time, as the receiver does; the others at once, which is faster and the same query."""
BY_LANDING = 500
"""So many come through the landing's files; the others enter by the same gate, without them."""
PREFIX = "ses_chance_"
Flag = tuple[str, str, str]


@pytest.fixture
def deployment(day: Deployment) -> Iterator[Deployment]:
    with copy_of_the_day("agreement") as copy:
        yield copy


def flagged_at_once(deployment: Deployment, messages: list[Message]) -> list[Flag]:
    """Return what the receiver finds wrong, without any history."""
    flagger = SessionFlagger(deployment.settings)
    rows = [judge("sessions", [part.record for part in message.parts]).rows for message in messages]
    found: list[dict[str, Any]] = []
    for row in rows[:ONE_BY_ONE]:
        found += flagger.flags(row)
    found += flagger.flags([row for several in rows[ONE_BY_ONE:] for row in several])
    return sorted((flag["session_id"], flag["rule_code"], flag["severity"]) for flag in found)


def take_all_in(deployment: Deployment, bodies: list[bytes], messages: list[Message]) -> None:
    for number, body in enumerate(bodies[:BY_LANDING]):
        deployment.landing.store(Drop(f"msg_chance_{number}", deployment.now, body))
    arrival = Arrival(WEBHOOK_SOURCE, deployment.now, deployment.today)
    with open_writer(deployment.settings) as lake:
        take_messages(lake, deployment.landing, deployment.settings, clock=deployment.clock)
        take_in(
            lake,
            "sessions",
            [part.record for message in messages[BY_LANDING:] for part in message.parts],
            arrival,
        )


def test_instant_flags_and_the_fast_lane_agree_on_ten_thousand_sessions(deployment: Deployment) -> None:
    bodies = sessions_by_chance(SESSIONS, seed=20_260_302, until=deployment.now, prefix=PREFIX)
    messages = [read_message(body, received_at=deployment.now) for body in bodies]

    at_once = flagged_at_once(deployment, messages)
    take_all_in(deployment, bodies, messages)
    with deployment.marketplace():
        deployment.chalkline("run", "fast")
    with deployment.reader() as reader:
        rows = reader.query(
            "select session_id, rule_code, severity from marts.fct_session_flags "
            f"where starts_with(session_id, '{PREFIX}') order by all"
        )
        known = reader.query(
            f"select count(*) from core.fct_sessions where starts_with(session_id, '{PREFIX}')"
        ).item()
    by_the_lane = [(str(one), str(rule), str(severity)) for one, rule, severity in rows.iter_rows()]

    assert by_the_lane == at_once
    assert SESSIONS * 0.95 < known < SESSIONS, "some sessions are malformed, and must be in nobody's flags"
    kinds = Counter((rule, severity) for _, rule, severity in at_once)
    assert set(kinds) == {
        ("tutor_no_show", "critical"),
        ("tutor_late", "medium"),
        ("tutor_late", "high"),
        ("session_ended_early", "medium"),
        ("session_ended_early", "high"),
        ("poor_first_session", "high"),
    }
    assert min(kinds.values()) >= 100, f"too few of one kind to say that it agrees: {kinds}"
