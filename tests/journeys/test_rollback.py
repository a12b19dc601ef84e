"""A version is taken back: readers see the older one until somebody publishes again, whatever lanes do meanwhile."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from data.landing import Drop
from data.operations import publications
from tests.journeys.webhooks import a_no_show, a_tutor_who_always_came
from tests.reliability.day import copy_of_the_day
from tests.reliability.deployment import Deployment

pytestmark = pytest.mark.slow


@pytest.fixture
def deployment(day: Deployment) -> Iterator[Deployment]:
    with copy_of_the_day("rollback") as copy:
        yield copy


def arrive(deployment: Deployment, session_id: str) -> None:
    """Let one webhook message arrive, as the receiver keeps it."""
    message = a_no_show(deployment, session_id, tutor_id=a_tutor_who_always_came(deployment))
    received_at = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
    deployment.landing.store(Drop(message.message_id, received_at, message.body.encode()))


def current_version(deployment: Deployment) -> int:
    with deployment.operations.session() as session:
        row = publications.current(session)
        assert row is not None
        return row.publication_id


def seen(deployment: Deployment) -> set[str]:
    """Return which of the journey's sessions readers see."""
    with deployment.reader() as reader:
        rows = reader.query("select session_id from core.fct_sessions where session_id like 'ses_rollback_%'")
    return set(rows["session_id"])


def test_a_rollback_holds_until_somebody_publishes_again(deployment: Deployment) -> None:
    older = current_version(deployment)
    with deployment.marketplace():
        arrive(deployment, "ses_rollback_1")
        deployment.chalkline("run", "fast")
        newer = current_version(deployment)
        assert newer > older
        assert seen(deployment) == {"ses_rollback_1"}

        deployment.chalkline("rollback", str(older))
        shown_again = current_version(deployment)
        assert shown_again > newer, "versions only move forward"
        assert seen(deployment) == set()

        arrive(deployment, "ses_rollback_2")
        deployment.chalkline("run", "fast")
        assert current_version(deployment) == shown_again, "a lane published over the rollback"
        assert seen(deployment) == set()

    said = deployment.chalkline("publish")
    assert "the hold is released" in said
    assert current_version(deployment) > shown_again
    assert seen(deployment) == {"ses_rollback_1", "ses_rollback_2"}
    answer = deployment.chalkline(
        "sql", "select count(*) as n from core.fct_sessions where session_id like 'ses_rollback_%'",
        "--version", str(newer), "--format", "json",
    )  # fmt: skip
    assert json.loads(answer) == {"n": 1}, "what readers saw once can be opened again"
