"""What people decided about sources: kept once, in order, until ended; every decision in the audit log."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from data.contracts import Correction
from data.operations.corrections import (
    CorrectionNotFound,
    add_correction,
    corrections_for,
    corrections_in_force,
    finish_replay,
    recent_replays,
    release_feed,
    released_at,
    request_discard,
    request_replay,
    retire_correction,
    waiting_replays,
)
from data.operations.store import Operations
from data.operations.tables import AuditEntry, CorrectionRow

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RENAME = Correction(action="rename", field="session_start", new_value="session_start_time")
CLEAR = Correction(action="clear", field="rating")


def add(
    session: Session, correction: Correction, *, source: str = "rails.pull", kind: str = "sessions"
) -> int:
    row = add_correction(
        session, source=source, kind=kind, correction=correction, note="release 4.2", actor="test", now=NOW
    )
    return row.correction_id


def actions(session: Session) -> list[str]:
    return list(session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.position)))


def test_corrections_come_back_in_the_order_in_which_they_were_made_for_their_feed_alone(
    operations: Operations,
) -> None:
    with operations.session() as session:
        add(session, RENAME)
        add(session, CLEAR)
        add(session, CLEAR, kind="tutors")
        add(session, RENAME, source="rails.webhook")
    with operations.session() as session:
        assert corrections_for(session, source="rails.pull", kind="sessions") == (RENAME, CLEAR)
        assert corrections_for(session, source="rails.webhook", kind="sessions") == (RENAME,)
        assert corrections_for(session, source="rails.webhook", kind="tutors") == ()
        assert len(corrections_in_force(session)) == 4


def test_the_same_correction_twice_is_one_and_one_that_was_ended_can_be_made_again(
    operations: Operations,
) -> None:
    with operations.session() as session:
        first = add(session, CLEAR)
        assert add(session, CLEAR) == first
        assert add(session, RENAME) != first
        retire_correction(session, first, actor="test", now=NOW + timedelta(hours=1))
        assert corrections_for(session, source="rails.pull", kind="sessions") == (RENAME,)
        assert add(session, CLEAR) not in (first,)
        ended = session.get_one(CorrectionRow, first)
        assert (ended.retired_by, ended.retired_at) == ("test", NOW + timedelta(hours=1))
        assert actions(session) == ["correction.added"] * 2 + ["correction.retired", "correction.added"]


@pytest.mark.parametrize("again", [False, True])
def test_what_is_not_in_force_cannot_be_ended(operations: Operations, again: bool) -> None:
    with operations.session() as session:
        number = add(session, CLEAR) if again else 404
        if again:
            retire_correction(session, number, actor="test", now=NOW)
        with pytest.raises(CorrectionNotFound, match=str(number)):
            retire_correction(session, number, actor="test", now=NOW)


def test_a_kind_that_does_not_exist_is_refused_with_those_that_do(operations: Operations) -> None:
    with operations.session() as session:
        for wish in (
            lambda: add(session, CLEAR, kind="lessons"),
            lambda: request_replay(session, actor="test", now=NOW, kind="lessons"),
            lambda: release_feed(session, "lessons", note="", actor="test", now=NOW),
        ):
            with pytest.raises(ValueError, match=r"no kind 'lessons'.*sessions"):
                wish()
        assert actions(session) == []


def test_the_same_wish_about_the_quarantine_is_one_until_it_was_carried_out(operations: Operations) -> None:
    with operations.session() as session:
        wide = request_replay(session, actor="test", now=NOW)
        assert request_replay(session, actor="other", now=NOW).request_id == wide.request_id
        narrow = request_replay(session, actor="test", now=NOW, source="rails.pull", kind="sessions")
        assert [row.request_id for row in waiting_replays(session)] == [wide.request_id, narrow.request_id]

        finish_replay(session, wide.request_id, outcome={"loaded": 3}, now=NOW)
        finish_replay(session, wide.request_id, outcome={"loaded": 0}, now=NOW + timedelta(hours=1))
        assert (wide.outcome, wide.finished_at) == ({"loaded": 3}, NOW), "the first word stands"
        assert [row.request_id for row in waiting_replays(session)] == [narrow.request_id]

        once_more = request_replay(session, actor="test", now=NOW)
        assert once_more.request_id > narrow.request_id
        assert [row.request_id for row in recent_replays(session, limit=2)] == [
            once_more.request_id,
            narrow.request_id,
        ]


def test_records_are_given_up_with_a_reason_only(operations: Operations) -> None:
    with operations.session() as session:
        with pytest.raises(ValueError, match="say why"):
            request_discard(session, source="a", kind="sessions", note="  ", actor="test", now=NOW)
        row = request_discard(
            session, source="a", kind="sessions", note=" test data ", actor="test", now=NOW, field="rating"
        )
        assert (row.action, row.note, row.field) == ("discard", "test data", "rating")
        assert actions(session) == ["discard.requested"]


def test_a_feed_knows_when_it_was_last_released(operations: Operations) -> None:
    with operations.session() as session:
        assert released_at(session, "sessions") is None
        for hours in (2, 1):
            release_feed(session, "sessions", note="token", actor="test", now=NOW + timedelta(hours=hours))
        session.flush()
        assert released_at(session, "sessions") == NOW + timedelta(hours=2)
        assert released_at(session, "tutors") is None
        assert actions(session) == ["feed.released"] * 2
