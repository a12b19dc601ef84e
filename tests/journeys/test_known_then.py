"""A score is recomputed as it was known then: equal to what was published, until something is known later."""

import re
from collections.abc import Iterator

import pytest

from app.mock_rails.announcements import message_of
from app.mock_rails.by_hand import a_session
from tests.journeys.webhooks import a_tutor_who_always_came, post, secret_of
from tests.reliability.day import NEXT_NOON, NOON, copy_of_the_day
from tests.reliability.deployment import Deployment, StepFailed

pytestmark = pytest.mark.slow

LATE_SESSIONS = {"ses_known_later": "tutor_no_show", "ses_said_to_be_first": "poor_first_session"}


@pytest.fixture(scope="module")
def deployment(day: Deployment) -> Iterator[Deployment]:
    with copy_of_the_day("known") as copy:
        yield copy


@pytest.fixture(scope="module")
def tutor_id(deployment: Deployment) -> str:
    return a_tutor_who_always_came(deployment)


@pytest.fixture(scope="module")
def a_day_later(deployment: Deployment, tutor_id: str) -> Deployment:
    """The next noon, when two sessions of the afternoon before have just become known: a no-show and a poor one."""
    later = deployment.at(NEXT_NOON)
    ended_at = NOON.replace(hour=20)
    with later.receiver() as door:
        for session_id, kind in LATE_SESSIONS.items():
            record = a_session(
                kind, session_id=session_id, tutor_id=tutor_id, student_id="cus_00001", now=ended_at
            )
            message = message_of("session.completed", record, ended_at)
            assert post(door, message, secret=secret_of(later)).status_code == 202
    with later.marketplace():
        later.chalkline("run", "fast")
    return later


def recomputed(deployment: Deployment, *, known_at: str) -> tuple[dict[str, tuple[int, int]], str]:
    """Recompute the Monday; return scores equal and all by score code, and all that was said."""
    said = deployment.chalkline("recompute", "--as-of", NOON.date().isoformat(), "--known-at", known_at)
    counts = re.findall(r"^(\w+): (\d+) of (\d+) as published now$", said, re.MULTILINE)
    return {code: (int(equal), int(scores)) for code, equal, scores in counts}, said


def test_what_was_published_is_what_was_known(a_day_later: Deployment) -> None:
    counts, said = recomputed(a_day_later, known_at=NOON.isoformat())
    assert counts.keys() == {"HEALTH", "THS", "TCRS"}, said
    assert all(equal == scores > 10 for equal, scores in counts.values()), said


def test_what_became_known_later_shows_as_a_difference(a_day_later: Deployment, tutor_id: str) -> None:
    with a_day_later.reader() as reader:
        published = reader.query("select * from marts.fct_tutor_scores order by all")
    counts, said = recomputed(a_day_later, known_at=NEXT_NOON.isoformat())
    equal, scores = counts["THS"]
    assert equal < scores
    assert tutor_id in said
    with a_day_later.reader() as reader:
        assert reader.query("select * from marts.fct_tutor_scores order by all").equals(published)
    left_behind = list((a_day_later.settings.state / "recomputed").iterdir())
    assert left_behind == []


def test_a_session_that_its_source_calls_the_first_is_not_when_others_were_held(
    a_day_later: Deployment,
) -> None:
    with a_day_later.reader() as reader:
        told = reader.query(
            "select is_first_reported, is_first_for_customer from core.fct_sessions "
            "where session_id = 'ses_said_to_be_first'"
        )
        flags = reader.query(
            "select rule_code from marts.fct_session_flags where session_id = 'ses_said_to_be_first'"
        )
    assert told.rows() == [(True, False)]
    assert flags.is_empty(), "poor_first_session is about first sessions"


def test_a_question_without_sense_is_refused_in_words(deployment: Deployment) -> None:
    with pytest.raises(StepFailed, match="still to come") as refused:
        recomputed(deployment, known_at="2027-01-01T00:00:00Z")
    assert "Traceback" not in str(refused.value)
