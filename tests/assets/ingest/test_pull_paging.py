"""Paging and cursors: whatever moves while it is read, and wherever a pull was killed, the table is the same."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pull_builders import (
    CLOCK,
    KIND,
    NOW,
    FakeRails,
    a_call,
    calls,
    client_of,
    pull_calls,
    read_all,
    stamp,
    stored,
    versions,
)

from assets.ingest import pull as pull_module
from assets.ingest.pull import FEEDS, SOURCE
from assets.ingest.rails import PassingFailure, SourceError, change_of
from data.clock import FixedClock
from data.lake.cursors import cursor_of
from data.lake.writer import LakeWriter

FEWEST = timedelta(milliseconds=1)


def cursor(lake: LakeWriter) -> datetime | None:
    return cursor_of(lake, source=SOURCE, kind=KIND)


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 10, 59, 60, 61, 500])
def test_every_page_size_reads_everything(page_size: int) -> None:
    assert versions(read_all(client_of(FakeRails(calls(60)), page_size=page_size))) == versions(calls(60))


@pytest.mark.parametrize("page_size", [1, 3, 4, 25, 100])
@pytest.mark.parametrize("block", [2, 4, 9, 30])
def test_equal_times_of_change_over_several_pages_are_all_read(page_size: int, block: int) -> None:
    rows = [
        a_call(number, updated_at=NOW - timedelta(hours=9) + number // block * FEWEST) for number in range(60)
    ]
    assert versions(read_all(client_of(FakeRails(rows), page_size=page_size))) == versions(rows)


def test_many_changes_within_one_millisecond_are_all_read() -> None:
    rows = [
        a_call(n, updated_at=(NOW - timedelta(hours=1, microseconds=-n * 30)).isoformat()) for n in range(60)
    ]
    assert versions(read_all(client_of(FakeRails(rows), page_size=4))) == versions(rows)


@pytest.mark.parametrize("block", [1, 5, 60], ids=["all differ", "some equal", "all equal"])
@pytest.mark.parametrize("seed", range(12))
def test_rows_that_change_while_they_are_read_push_no_other_out_of_sight(block: int, seed: int) -> None:
    generator = random.Random(seed)
    rows = [
        a_call(number, updated_at=NOW - timedelta(hours=9) + number // block * FEWEST) for number in range(60)
    ]
    api = FakeRails(rows)

    def somebody_edits(request_number: int) -> None:
        if request_number <= 30 and generator.random() < 0.7:
            changed = generator.randrange(60)
            api.rows[f"k{changed:05}"] = a_call(
                changed, updated_at=NOW - timedelta(minutes=60 - request_number)
            )

    api.before_answer = somebody_edits
    read = read_all(client_of(api, page_size=4))
    untouched = [row for row in rows if api.rows[row["call_id"]] == row]
    assert versions(untouched) <= versions(read)
    assert {record["call_id"] for record in read} == set(api.rows)


def test_a_page_that_is_given_twice_changes_nothing(lake: LakeWriter) -> None:
    rows = calls(60)
    pages: list[httpx.Response] = []

    def twice(_: httpx.Request, answer: httpx.Response) -> httpx.Response:
        return pages[-1] if pages else answer

    api = FakeRails(rows, {3: twice})
    original = api.page

    def remember(request: httpx.Request) -> httpx.Response:
        answer = original(request)
        if len(api.requests) < 4:
            pages.append(answer)
        return answer

    api.page = remember  # type: ignore[method-assign]
    pull_calls(lake, api)
    assert len(stored(lake)) == 60


@pytest.mark.parametrize("loop", [1, 2, 3])
def test_pages_that_go_round_in_a_circle_end(loop: int) -> None:
    rows = calls(3 * loop)
    asked: list[int] = []

    def circle(_: httpx.Request) -> httpx.Response:
        asked.append(1)
        assert len(asked) < 50
        place = (len(asked) - 1) % loop * 3
        return FakeRails.answer(rows[place : place + 3], has_next=True)

    with pytest.raises(PassingFailure, match="repeats the pages before it"):
        read_all(client_of(circle))


def test_empty_pages_that_promise_more_end() -> None:
    with pytest.raises(SourceError):
        read_all(client_of(lambda _: FakeRails.answer([], has_next=True)))


def test_pages_without_a_readable_time_are_turned_and_quarantined(lake: LakeWriter) -> None:
    rows: list[Any] = [a_call(n, updated_at="yesterday") for n in range(25)] + calls(60)[30:]
    account = pull_calls(lake, FakeRails(rows))
    assert len(stored(lake)) == 30
    assert lake.read("select count(*) as n from lake.raw_quality.quarantined_records")["n"][0] == 25
    assert account.total("read") == sum(
        account.total(name) for name in ("loaded", "duplicate", "quarantined")
    )


def test_a_feed_without_a_readable_time_moves_no_cursor(lake: LakeWriter) -> None:
    broken = [a_call(n, updated_at="yesterday") for n in range(5)]
    assert pull_calls(lake, FakeRails(broken)).total("quarantined") == 5
    assert cursor(lake) is None
    mended = FakeRails(calls(5))
    assert pull_calls(lake, mended).total("loaded") == 5


@pytest.mark.parametrize("poison", [None, 7, "text", [], {"call_id": "k1"}])
def test_a_poisoned_record_in_a_page_holds_back_no_other(lake: LakeWriter, poison: Any) -> None:
    pages = iter([FakeRails.answer([poison, *calls(9)])])
    with client_of(lambda _: next(pages)) as client:
        account = pull_module.pull(lake, client, FEEDS[KIND], clock=CLOCK, time_zone="UTC")
    assert (account.total("loaded"), account.total("quarantined")) == (9, 1)


@pytest.mark.parametrize(
    "text",
    [
        "9999-12-31T23:59:59-10:00",
        "0001-01-01T00:00:00+10:00",
        "2026-02-30T00:00:00Z",
        "2026-03-01",
        "",
        "x",
        None,
        5,
    ],
)
def test_a_time_of_change_that_is_none_is_not_a_cursor(text: Any) -> None:
    assert change_of({"updated_at": text}) is None
    assert change_of(text) is None


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(hours=26), timedelta(days=20_000)])
def test_a_source_whose_clock_runs_ahead_does_not_hide_later_rows(lake: LakeWriter, ahead: timedelta) -> None:
    api = FakeRails([*calls(20), a_call(90, updated_at=NOW + ahead)])
    pull_calls(lake, api)
    assert cursor(lake) == NOW.replace(tzinfo=None)
    for minute in range(1, 4):
        api.rows[f"k{minute:05}"] = a_call(
            minute, updated_at=NOW + timedelta(minutes=minute), reason_code="later"
        )
        assert pull_calls(lake, api, clock=FixedClock(NOW + timedelta(minutes=minute))).total("loaded") == 1
    assert cursor(lake) == datetime(2026, 3, 1, 12, 3)


def test_a_row_that_appears_late_within_the_overlap_is_found(lake: LakeWriter) -> None:
    api = FakeRails(calls(60))
    pull_calls(lake, api)
    reached = cursor(lake)
    assert reached is not None
    late = reached.replace(tzinfo=UTC) - FEEDS[KIND].overlap
    api.rows["late"] = a_call(99, updated_at=late, call_id="late")
    assert pull_calls(lake, api).total("loaded") == 1


def test_a_second_pull_reads_the_overlap_and_loads_nothing(lake: LakeWriter) -> None:
    api = FakeRails(calls(60))
    pull_calls(lake, api)
    table, reached = stored(lake), cursor(lake)
    again = pull_calls(lake, api)
    assert (again.total("read"), again.total("loaded")) == (4, 0)
    assert (stored(lake), cursor(lake)) == (table, reached)


def test_a_source_with_nothing_new_leaves_no_batch(lake: LakeWriter) -> None:
    assert pull_calls(lake, FakeRails([])).batches == []
    assert cursor(lake) is None


class Undone(Exception):
    """Ends what a test only tries."""


@contextmanager
def only_tried(lake: LakeWriter, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo at the end whatever is stored inside."""
    with suppress(Undone), monkeypatch.context() as patched, lake.transaction() as connection:
        patched.setattr(LakeWriter, "transaction", lambda _: nullcontext(connection))
        patched.setattr(pull_module, "RECORDS_PER_BATCH", 5_000)
        yield
        raise Undone


def test_a_pull_that_was_killed_at_any_page_of_twenty_goes_on_to_the_same_table(
    lake: LakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = calls(200)
    golden: list[tuple[Any, ...]] = []
    states: list[datetime | None] = []

    def go_on_from_here(_: int = 0) -> None:
        states.append(cursor(lake))
        left = len(stored(lake))
        with only_tried(lake, monkeypatch):
            pull_calls(lake, FakeRails(rows))
            golden[:] = golden or stored(lake)
            assert stored(lake) == golden, f"killed when {left} rows were stored"
        assert len(stored(lake)) == left

    go_on_from_here()
    monkeypatch.setattr(pull_module, "RECORDS_PER_BATCH", 10)
    with client_of(FakeRails(rows)) as client:
        pull_module.pull(lake, client, FEEDS[KIND], clock=CLOCK, time_zone="UTC", progress=go_on_from_here)
    assert stored(lake) == golden
    assert len(golden) == 200
    assert len(set(states)) >= 21, "each page was a state of its own"


@pytest.mark.parametrize("killed_at", [0, 1, 3, 5])
def test_a_pull_that_is_killed_while_it_asks_goes_on_to_the_same_table(
    lake: LakeWriter, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    api = FakeRails(calls(60))

    def kill(number: int) -> None:
        if number == killed_at:
            raise KeyboardInterrupt

    api.before_answer = kill
    with monkeypatch.context() as patched:
        patched.setattr(pull_module, "RECORDS_PER_BATCH", 10)
        with pytest.raises(KeyboardInterrupt):
            pull_calls(lake, api)
    assert len(stored(lake)) == (10 + 9 * (killed_at - 1) if killed_at else 0)
    pull_calls(lake, FakeRails(calls(60)))
    assert len(stored(lake)) == 60


def test_rows_and_cursor_are_of_one_mind_at_every_commit(
    lake: LakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_module, "RECORDS_PER_BATCH", 20)
    told: list[int] = []
    with client_of(FakeRails(calls(60))) as client:

        def look(count: int) -> None:
            told.append(count)
            newest = max(row[4] for row in stored(lake))
            assert cursor(lake) == newest

        pull_module.pull(lake, client, FEEDS[KIND], clock=CLOCK, time_zone="UTC", progress=look)
    assert len(told) == 4
    assert stamp(NOW).endswith("Z")
