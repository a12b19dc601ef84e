"""How far a feed has been read: the newest word wins, and no feed knows of another."""

from datetime import datetime, timedelta

from lake_builders import NOON, arrival, count

from data.lake.cursors import cursor_of, save_cursor, set_cursor
from data.lake.intake import take_in
from data.lake.writer import LakeWriter

ELEVEN = datetime(2026, 3, 1, 11)


def read(lake: LakeWriter, until: datetime) -> None:
    take_in(lake, "sessions", [], arrival(), cursor_at=until)


def test_a_feed_that_was_never_read_has_no_cursor(lake: LakeWriter) -> None:
    assert cursor_of(lake, source="rails.pull", kind="sessions") is None


def test_a_cursor_is_of_one_source_and_one_kind(lake: LakeWriter) -> None:
    read(lake, ELEVEN)
    assert cursor_of(lake, source="rails.pull", kind="sessions") == ELEVEN
    assert cursor_of(lake, source="rails.pull", kind="reschedules") is None
    assert cursor_of(lake, source="rails.webhook", kind="sessions") is None


def test_of_two_cursors_saved_at_one_instant_the_further_one_wins(lake: LakeWriter) -> None:
    further = ELEVEN + timedelta(minutes=30)
    read(lake, further)
    read(lake, ELEVEN)
    assert cursor_of(lake, source="rails.pull", kind="sessions") == further


def test_a_cursor_can_be_set_back_by_hand_and_every_word_on_it_is_kept(lake: LakeWriter) -> None:
    read(lake, ELEVEN)
    back = NOON - timedelta(days=3)
    set_cursor(lake, source="rails.pull", kind="sessions", cursor_at=back, saved_at=NOON + timedelta(hours=1))
    assert cursor_of(lake, source="rails.pull", kind="sessions") == back.replace(tzinfo=None)
    assert count(lake, "raw_quality.pull_cursors") == 2


def test_a_cursor_is_saved_with_its_transaction_or_not_at_all(lake: LakeWriter) -> None:
    words = {
        "source": "rails.pull",
        "kind": "sessions",
        "cursor_at": ELEVEN,
        "batch_id": "b",
        "saved_at": ELEVEN,
    }
    try:
        with lake.transaction():
            save_cursor(lake, **words)  # type: ignore[arg-type]
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert cursor_of(lake, source="rails.pull", kind="sessions") is None


def test_cursors_behind_an_instant_can_be_passed_over(lake: LakeWriter) -> None:
    read(lake, ELEVEN)
    ahead = NOON + timedelta(days=1)
    set_cursor(
        lake, source="rails.pull", kind="sessions", cursor_at=ahead, saved_at=NOON + timedelta(hours=1)
    )
    found = cursor_of(lake, source="rails.pull", kind="sessions", not_after=NOON.replace(tzinfo=None))
    assert found == ELEVEN
