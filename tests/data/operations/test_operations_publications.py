from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from operations_builders import NOON, TODAY

from data.operations import publications
from data.operations.publications import Held, PublicationNotFound
from data.operations.store import Operations
from data.operations.tables import Publication


def publish(
    operations: Operations, snapshot_id: int, *, lane: str = "fast", hours: float = 0, day: date = TODAY
):
    with operations.session() as session:
        return publications.publish(
            session,
            snapshot_id=snapshot_id,
            lane=lane,
            as_of_date=day,
            checks={"rows": "passed"},
            now=NOON + timedelta(hours=hours),
        )


def test_nothing_is_published_at_first(operations: Operations) -> None:
    with operations.session() as session:
        assert publications.current(session) is None


def test_readers_see_what_was_published_last(operations: Operations) -> None:
    publish(operations, 10)
    publish(operations, 11)
    with operations.session() as session:
        latest = publications.current(session)
        assert latest is not None
        assert (latest.publication_id, latest.lake_snapshot_id) == (2, 11)


def test_publishing_the_same_again_adds_no_version(operations: Operations) -> None:
    first, again = publish(operations, 10), publish(operations, 10, hours=1)
    assert isinstance(first, Publication)
    assert isinstance(again, Publication)
    assert again.publication_id == first.publication_id


def test_a_lane_that_finishes_late_does_not_take_readers_back(operations: Operations) -> None:
    publish(operations, 11)
    late = publish(operations, 10, lane="hourly")
    assert isinstance(late, Held)
    assert late.reason == "older_than_published"


def test_a_rollback_is_a_new_version_with_the_old_snapshot(operations: Operations) -> None:
    publish(operations, 10)
    publish(operations, 11)
    with operations.session() as session:
        row = publications.rollback(session, 1, actor="user:1", now=NOON)
    assert (row.publication_id, row.lake_snapshot_id, row.rolled_back_to) == (3, 10, 1)


def test_lanes_do_not_publish_over_a_rollback_until_it_is_released(operations: Operations) -> None:
    publish(operations, 10)
    publish(operations, 11)
    with operations.session() as session:
        publications.rollback(session, 1, actor="user:1", now=NOON, reason="late minutes were doubled")
    held = publish(operations, 12)
    assert isinstance(held, Held)
    assert held.reason == "on_hold"
    assert "late minutes were doubled" in held.text
    with operations.session() as session:
        assert publications.release_hold(session, actor="user:1", now=NOON) is not None
        assert publications.release_hold(session, actor="user:1", now=NOON) is None
    after = publish(operations, 13)
    assert isinstance(after, Publication)
    assert after.lake_snapshot_id == 13


def test_a_second_rollback_replaces_the_hold(operations: Operations) -> None:
    for snapshot in (10, 11, 12):
        publish(operations, snapshot)
    with operations.session() as session:
        publications.rollback(session, 2, actor="user:1", now=NOON)
        publications.rollback(session, 1, actor="user:1", now=NOON)
        hold = publications.hold_in_force(session)
    assert hold is not None
    assert hold.publication_id == 5


def test_rolling_back_to_what_is_shown_or_unknown_is_refused(operations: Operations) -> None:
    publish(operations, 10)
    with operations.session() as session:
        with pytest.raises(ValueError, match="already see"):
            publications.rollback(session, 1, actor="user:1", now=NOON)
        with pytest.raises(PublicationNotFound, match="7"):
            publications.rollback(session, 7, actor="user:1", now=NOON)


def test_retention_keeps_the_recent_the_last_of_each_day_and_the_current(operations: Operations) -> None:
    publish(operations, 1, hours=-24 * 200, day=TODAY - timedelta(days=200))
    publish(operations, 2, hours=-24 * 20 - 1, day=TODAY - timedelta(days=20))
    publish(operations, 3, hours=-24 * 20, day=TODAY - timedelta(days=20))
    publish(operations, 4, hours=-2)
    publish(operations, 5, hours=-1)
    with operations.session() as session:
        kept = publications.retained_snapshots(
            session, now=NOON, keep_all=timedelta(days=7), keep_daily=timedelta(days=90)
        )
        later = publications.retained_snapshots(
            session, now=NOON + timedelta(days=999), keep_all=timedelta(days=7), keep_daily=timedelta(days=90)
        )
    assert kept == [3, 4, 5]
    assert later == [5]


def test_versions_become_visible_in_order(operations: Operations) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: publish(operations, number), range(1, 21)))
    with operations.session() as session:
        rows = session.execute(
            sa.select(Publication.publication_id, Publication.lake_snapshot_id).order_by(
                Publication.publication_id
            )
        ).all()
    snapshots = [snapshot for _, snapshot in rows]
    assert snapshots == sorted(snapshots)
    assert snapshots[-1] == 20
