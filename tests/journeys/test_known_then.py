"""A score is recomputed as it was known then: equal to what was published, until something is known later."""

import re
from collections.abc import Iterator

import pytest

from app.mock_rails.announcements import message_of
from app.mock_rails.by_hand import a_session
from tests.journeys.webhooks import a_tutor_who_always_came, post, secret_of
from tests.reliability.day import NEXT_NOON, NOON, copy_of_the_day
from tests.reliability.deployment import Deployment, StepFailed

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("day")]

LATE_SESSION = "ses_known_later"


@pytest.fixture(scope="module")
def deployment(day: Deployment) -> Iterator[Deployment]:
    with copy_of_the_day("known") as copy:
        yield copy


@pytest.fixture(scope="module")
def tutor_id(deployment: Deployment) -> str:
    return a_tutor_who_always_came(deployment)


@pytest.fixture(scope="module")
def a_day_later(deployment: Deployment, tutor_id: str) -> Deployment:
    """The next noon, when a no-show of the afternoon before has just become known."""
    later = deployment.at(NEXT_NOON)
    ended_at = NOON.replace(hour=20)
    record = a_session(
        "tutor_no_show", session_id=LATE_SESSION, tutor_id=tutor_id, student_id="cus_00001", now=ended_at
    )
    with later.receiver() as door:
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


def test_a_question_without_sense_is_refused_in_words(deployment: Deployment) -> None:
    with pytest.raises(StepFailed, match="still to come") as refused:
        recomputed(deployment, known_at="2027-01-01T00:00:00Z")
    assert "Traceback" not in str(refused.value)
