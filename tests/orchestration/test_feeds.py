"""How feeds stand: told by the doctor and by `chalkline feeds`, and let go by a release that is kept."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from assets.ingest.pull import FEEDS, SOURCE
from assets.ingest.tries import address_fingerprint
from assets.resources import House
from data.clock import naive_utc
from data.lake.attempts import Attempt, Outcome, store_attempt
from data.lake.writer import LakeWriter
from data.operations.corrections import release_feed
from data.operations.tables import AuditEntry, FeedRelease
from data.settings import Settings
from orchestration.cli import app
from orchestration.doctor import examine
from orchestration.feeds import FeedState, feed_states

NOON = datetime(2026, 3, 2, 17, tzinfo=UTC)


def tried(
    house: House,
    outcome: Outcome,
    *,
    ago: timedelta,
    kind: str = "sessions",
    next_in: timedelta | None = None,
    fingerprint: str | None = None,
) -> None:
    at = naive_utc(NOON - ago)
    with house.lake() as lake:
        store_attempt(
            lake,
            Attempt(
                attempt_id=f"{kind} {ago}",
                source=SOURCE,
                kind=kind,  # type: ignore[arg-type]
                started_at=at,
                finished_at=at,
                outcome=outcome,
                reason=None if outcome == "ok" else "answered 401",
                record_count=0,
                source_ahead_seconds=None,
                next_try_at=None if next_in is None else at + next_in,
                address_fingerprint=fingerprint or address_fingerprint(house.settings),
            ),
        )


def state_of(house: House, kind: str = "sessions") -> FeedState:
    return next(state for state in feed_states(house) if state.kind == kind)


MINUTES = timedelta(minutes=1)
DAY = timedelta(days=1)


def test_a_feed_that_was_never_tried_is_neither_held_nor_late(house: House) -> None:
    assert [state.kind for state in feed_states(house)] == list(FEEDS)
    assert [state.trouble for state in feed_states(house)] == [None] * len(FEEDS)


def test_a_held_feed_says_since_when_and_why(house: House) -> None:
    tried(house, "ok", ago=30 * MINUTES)
    tried(house, "permanent", ago=20 * MINUTES, next_in=DAY)
    tried(house, "held", ago=10 * MINUTES, next_in=DAY)
    state = state_of(house)
    assert state.held_since == naive_utc(NOON - 20 * MINUTES)
    assert state.trouble == "is held since 2026-03-02 16:40 UTC: answered 401"
    assert state.waits_because


def test_a_release_or_a_new_token_ends_the_hold(house: House) -> None:
    tried(house, "permanent", ago=20 * MINUTES, next_in=DAY, kind="tutors", fingerprint="another")
    assert state_of(house, "tutors").held_since is None
    tried(house, "permanent", ago=20 * MINUTES, next_in=DAY, kind="customers")
    with house.operations.session() as session:
        release_feed(session, "customers", note="mended", actor="kim@example.org", now=NOON)
    assert state_of(house, "customers").held_since is None


@pytest.mark.parametrize(("ago", "is_late"), [(59 * MINUTES, False), (61 * MINUTES, True)])
def test_a_feed_is_late_by_the_rulebook(house: House, ago: timedelta, is_late: bool) -> None:
    tried(house, "ok", ago=ago)
    tried(house, "passing", ago=5 * MINUTES, next_in=30 * MINUTES)
    assert state_of(house).is_late is is_late


def test_the_doctor_names_a_feed_that_is_held_or_late(
    house_at: Callable[[datetime], House], house: House
) -> None:
    tried(house, "ok", ago=5 * MINUTES)
    finding = next(one for one in examine(house) if one.what == "feeds")
    assert (finding.is_well, finding.detail) == (True, "1 of 6 have been read, none held or late")
    tried(house, "permanent", ago=4 * MINUTES, next_in=DAY)
    finding = next(one for one in examine(house) if one.what == "feeds")
    assert not finding.is_well
    assert "sessions is held since" in finding.detail
    assert "chalkline feeds list" in finding.detail


def test_the_command_line_lists_and_releases_feeds(
    lake: LakeWriter, house: House, deployed: Settings
) -> None:
    tried(house, "permanent", ago=4 * MINUTES, next_in=DAY, fingerprint=address_fingerprint(deployed))
    runner = CliRunner()
    listed = runner.invoke(app, ["feeds", "list"], env={"COLUMNS": "240"})
    assert listed.exit_code == 0, listed.output
    assert "answered 401" in listed.output
    assert "never tried" in listed.output
    released = runner.invoke(app, ["feeds", "release", "sessions", "--note", "a new token"])
    assert released.exit_code == 0, released.output
    assert "sessions is released" in released.output
    with house.operations.session() as session:
        assert session.scalars(sa.select(FeedRelease.note)).all() == ["a new token"]
        assert "feed.released" in session.scalars(sa.select(AuditEntry.action)).all()
    unknown = runner.invoke(app, ["feeds", "release", "weather", "--note", "x"])
    assert isinstance(unknown.exception, ValueError)
