"""When a feed is tried again: pauses that grow, holds that end by a person, a new token or a probe, and no storms."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pull_builders import KIND, NOW, FakeRails, a_call, answering, calls, client_of, stored, unhurried
from pydantic import SecretStr

from assets.ingest.budget import Budget
from assets.ingest.pull import FEEDS, REACH, SOURCE
from assets.ingest.rails import OutOfTime, PassingFailure, PermanentFailure, SourceError
from assets.ingest.tries import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    LONGEST_WISH,
    PROBE_EVERY,
    Tried,
    address_fingerprint,
    next_try_at,
    try_feed,
)
from data.clock import FixedClock
from data.lake.attempts import newest_attempts
from data.lake.cursors import cursor_of, set_cursor
from data.lake.writer import LakeWriter
from data.settings import Settings

TICK = timedelta(minutes=5)
SETTINGS = Settings(rails_token=SecretStr("first-token"))
Api = Callable[[Any], Any]


@dataclass
class Ticks:
    """A feed that is tried every five minutes, with whatever API there is at that moment."""

    lake: LakeWriter
    now: datetime = NOW
    settings: Settings = field(default_factory=lambda: SETTINGS)
    released_at: datetime | None = None
    seen: list[Tried] = field(default_factory=list)

    def tick(
        self, api: Api, *, is_night: bool = False, budget: Budget | None = None, by: timedelta = TICK
    ) -> Tried:
        tried = try_feed(
            self.lake,
            FEEDS[KIND],
            settings=self.settings,
            clock=FixedClock(self.now),
            budget=budget or unhurried(),
            is_night=is_night,
            released_at=self.released_at,
            client_of=lambda _, __, budget: client_of(api, budget=budget),
        )
        self.seen.append(tried)
        self.now += by
        return tried

    def outcomes(self) -> list[str]:
        return [tried.outcome for tried in self.seen]


@pytest.fixture
def ticks(lake: LakeWriter) -> Ticks:
    return Ticks(lake)


def always(fault: Any) -> FakeRails:
    return FakeRails(calls(60), dict.fromkeys(range(10_000), fault))


def test_every_try_is_one_row_that_says_how_it_ended(ticks: Ticks) -> None:
    ticks.tick(FakeRails(calls(60)))
    ticks.tick(always(answering(503)))
    ticks.tick(always(answering(404)))
    newest = newest_attempts(ticks.lake, source=SOURCE, kind=KIND, until=datetime(2030, 1, 1))
    assert [attempt.outcome for attempt in newest] == ["permanent", "passing", "ok"]
    assert [attempt.record_count for attempt in newest] == [0, 0, 66]
    assert [bool(attempt.reason) for attempt in newest] == [True, True, False]
    assert "first-token" not in str(newest)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 422])
def test_a_permanent_failure_is_asked_once_and_then_once_a_day(ticks: Ticks, status: int) -> None:
    api = always(answering(status))
    three_days = timedelta(days=3)
    while ticks.now < NOW + three_days:
        ticks.tick(api, by=timedelta(hours=1))
    assert len(api.requests) == 3
    tried = [outcome for outcome in ticks.outcomes() if outcome != "skipped"]
    assert tried == ["permanent", "held", "held"]


def test_passing_failures_are_asked_ever_more_rarely(ticks: Ticks) -> None:
    api = always(answering(503))
    while ticks.now < NOW + timedelta(days=1):
        ticks.tick(api)
    tried = [tried for tried in ticks.seen if tried.attempt is not None]
    assert 48 <= len(tried) <= 80, "every half an hour or so, where the lane came by 288 times"
    assert len(api.requests) == 4 * len(tried)
    ticks.now += LONGEST_PAUSE
    assert ticks.tick(FakeRails(calls(60))).outcome == "ok"
    assert ticks.tick(FakeRails(calls(60))).outcome == "ok", "one good try and the pauses are over"


def test_a_try_that_is_skipped_asks_nothing_and_leaves_no_row(ticks: Ticks) -> None:
    ticks.tick(always(answering(503)), by=timedelta(seconds=1))
    api = FakeRails(calls(60))
    skipped = ticks.tick(api)
    assert (skipped.outcome, skipped.attempt, len(api.requests)) == ("skipped", None, 0)
    assert "answered 503" in str(skipped.skipped)
    rows = ticks.lake.read("select count(*) as n from lake.raw_quality.pull_attempts").item()
    assert rows == 1


def test_a_release_before_the_hold_says_nothing_and_one_after_it_lets_go(ticks: Ticks) -> None:
    ticks.released_at = NOW - timedelta(minutes=1)
    ticks.tick(always(answering(401)))
    good = FakeRails(calls(60))
    assert ticks.tick(good).outcome == "skipped"
    ticks.released_at = ticks.now
    assert ticks.tick(good).outcome == "ok"


@pytest.mark.parametrize("change", [{"rails_token": SecretStr("new")}, {"rails_url": "http://elsewhere"}])
def test_a_new_token_or_address_lets_go_by_itself(ticks: Ticks, change: dict[str, Any]) -> None:
    ticks.tick(always(answering(401)))
    ticks.settings = SETTINGS.model_copy(update=change)
    assert ticks.tick(FakeRails(calls(60))).outcome == "ok"


def test_a_probe_that_succeeds_ends_the_hold(ticks: Ticks) -> None:
    ticks.tick(always(answering(404)), by=PROBE_EVERY)
    assert ticks.tick(FakeRails(calls(60))).outcome == "ok"
    assert ticks.tick(FakeRails(calls(60))).outcome == "ok"


def test_what_was_read_before_a_failure_stays_and_the_next_try_goes_on_from_there(ticks: Ticks) -> None:
    api = FakeRails(calls(200), dict.fromkeys(range(8, 1_000), answering(503)))
    broken = ticks.tick(api)
    assert (broken.outcome, broken.account.total("loaded")) == ("passing", 8 * 9 + 1)
    reached = cursor_of(ticks.lake, source=SOURCE, kind=KIND)
    api.faults.clear()
    before = len(api.requests)
    assert ticks.tick(api).account.total("loaded") == 200 - 73
    assert len(stored(ticks.lake)) == 200
    assert reached is not None
    asked_from = api.requests[before].url.params["updated_since"]
    assert datetime.fromisoformat(asked_from) == reached.replace(tzinfo=UTC) - FEEDS[KIND].overlap


def test_a_source_that_is_slow_but_good_is_read_a_piece_at_a_time(ticks: Ticks) -> None:
    """Each page takes a second of the stop-watch, each try has five: what was read is not read again for ever."""
    watch, api = {"now": 0.0}, FakeRails(calls(200))
    api.before_answer = lambda _: watch.update(now=watch["now"] + 1)
    while "ok" not in ticks.outcomes() and len(ticks.seen) < 10:
        before = len(api.requests)
        tried = ticks.tick(api, budget=Budget(5, stopwatch=lambda: watch["now"], wait=lambda _: None))
        assert len(api.requests) - before <= 5
        assert tried.attempt is not None
        assert tried.attempt.next_try_at is None
    assert ticks.outcomes()[0] == "out_of_time"
    assert ticks.outcomes()[-1] == "ok"
    assert len(stored(ticks.lake)) == 200


def test_a_source_that_hangs_costs_no_more_than_the_budget(ticks: Ticks) -> None:
    clock = {"now": 0.0}
    api = always(answering(503))
    api.before_answer = lambda _: clock.update(now=clock["now"] + 6)
    waited: list[float] = []
    tried = ticks.tick(api, budget=Budget(10, stopwatch=lambda: clock["now"], wait=waited.append))
    assert (tried.outcome, len(api.requests)) == ("passing", 2)
    assert sum(waited) < 10


LATE = [a_call(1_000 + number, updated_at=NOW - timedelta(hours=3 + number % 165)) for number in range(200)]


def test_two_hundred_rows_that_appear_late_are_all_found_by_the_night(ticks: Ticks) -> None:
    """Their times of change lie from an hour to a week before the cursor: beyond the overlap, within the reach."""
    api = FakeRails(calls(280))
    ticks.tick(api)
    before = cursor_of(ticks.lake, source=SOURCE, kind=KIND)
    api.rows |= {row["call_id"]: row for row in LATE}
    assert ticks.tick(api).account.total("loaded") == 0
    night = ticks.tick(api, is_night=True)
    assert night.account.total("loaded") == 200
    assert cursor_of(ticks.lake, source=SOURCE, kind=KIND) == before
    assert ticks.tick(api, is_night=True).account.total("loaded") == 0


def test_the_night_to_sunday_reads_small_feeds_wholly() -> None:
    saturday, sunday = datetime(2026, 2, 28).date(), datetime(2026, 3, 1).date()
    assert FEEDS["customers"].reach(sunday) is None
    assert FEEDS["customers"].reach(saturday) == REACH
    assert FEEDS["sessions"].reach(sunday) == REACH


@pytest.mark.parametrize(
    ("failures", "floor", "ceiling"), [(0, 30, 60), (1, 60, 120), (4, 480, 960), (9, 900, 1800)]
)
def test_pauses_double_up_to_half_an_hour_and_are_jittered(
    ticks: Ticks, failures: int, floor: int, ceiling: int
) -> None:
    past = []
    for _ in range(failures):
        past.append(ticks.tick(always(answering(503)), by=LONGEST_PAUSE).attempt)
    now = datetime(2026, 3, 2)
    pauses = [
        next_try_at(PassingFailure("x"), [one for one in past if one], now=now, jitter=lambda part=part: part)
        for part in (0.0, 1.0)
    ]
    assert pauses == [now + timedelta(seconds=floor), now + timedelta(seconds=ceiling)]
    assert timedelta(seconds=ceiling) <= LONGEST_PAUSE
    assert timedelta(seconds=floor) * 2 >= FIRST_PAUSE


@pytest.mark.parametrize(
    ("failure", "pause"),
    [
        (None, None),
        (OutOfTime("x"), None),
        (PermanentFailure("x"), PROBE_EVERY),
        (PassingFailure("x", retry_after=timedelta(hours=2)), timedelta(hours=2)),
        (PassingFailure("x", retry_after=timedelta(days=9_999)), LONGEST_WISH),
        (PassingFailure("x", retry_after=timedelta(0)), FIRST_PAUSE),
    ],
)
def test_what_the_source_wishes_is_kept_within_reason(
    failure: SourceError | None, pause: timedelta | None
) -> None:
    now = datetime(2026, 3, 2)
    assert next_try_at(failure, [], now=now, jitter=lambda: 1.0) == (None if pause is None else now + pause)


def test_the_fingerprint_changes_with_address_and_token_and_shows_neither() -> None:
    prints = {
        address_fingerprint(SETTINGS.model_copy(update=change))
        for change in ({}, {"rails_url": "http://elsewhere"}, {"rails_token": SecretStr("new")})
    }
    assert len(prints) == 3
    assert all(len(one) == 8 for one in prints)


@pytest.mark.parametrize("ahead", [timedelta(hours=26), timedelta(hours=-26), timedelta(0)])
def test_a_try_notes_how_far_the_sources_clock_is_off(ticks: Ticks, ahead: timedelta) -> None:
    date = (NOW + ahead).strftime("%a, %d %b %Y %H:%M:%S GMT")
    api = FakeRails(calls(3), dict.fromkeys(range(9), lambda _, answer: _dated(answer, date)))
    attempt = ticks.tick(api).attempt
    assert attempt is not None
    assert attempt.source_ahead_seconds == ahead.total_seconds()


def _dated(answer: Any, date: str) -> Any:
    answer.headers["Date"] = date
    return answer


def test_a_cursor_in_the_future_is_passed_over(ticks: Ticks) -> None:
    api = FakeRails(calls(60))
    ticks.tick(api)
    set_cursor(ticks.lake, source=SOURCE, kind=KIND, cursor_at=NOW + timedelta(days=900), saved_at=ticks.now)
    api.rows["new"] = a_call(77, updated_at=ticks.now, call_id="new")
    ticks.now += TICK
    assert ticks.tick(api).account.total("loaded") == 1
