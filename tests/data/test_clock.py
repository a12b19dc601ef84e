"""The clock: business days begin and end at local midnight, whatever the clocks do that night."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from data.clock import FixedClock, SystemClock, business_date, clock_from, end_of_business_day, naive_utc
from data.settings import Settings

ZONES = ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana",
         "Asia/Beirut", "Atlantic/Azores", "America/St_Johns", "Pacific/Kiritimati", "UTC"]  # fmt: skip


def test_midnight_belongs_to_the_day_that_begins() -> None:
    assert business_date(datetime(2026, 3, 2, 4, 59, 59, 999_999, UTC), "America/New_York") == date(
        2026, 3, 1
    )
    assert business_date(datetime(2026, 3, 2, 5, tzinfo=UTC), "America/New_York") == date(2026, 3, 2)


@pytest.mark.parametrize(
    ("day", "end", "hours"),
    [
        (date(2026, 3, 7), datetime(2026, 3, 8, 5, tzinfo=UTC), 24),
        (date(2026, 3, 8), datetime(2026, 3, 9, 4, tzinfo=UTC), 23),
        (date(2026, 11, 1), datetime(2026, 11, 2, 5, tzinfo=UTC), 25),
        (date(2024, 2, 29), datetime(2024, 3, 1, 5, tzinfo=UTC), 24),
        (date(2025, 12, 31), datetime(2026, 1, 1, 5, tzinfo=UTC), 24),
    ],
)
def test_a_day_of_changing_clocks_is_as_long_as_it_is(day: date, end: datetime, hours: int) -> None:
    zone = "America/New_York"
    assert end_of_business_day(day, zone) == end
    assert end - end_of_business_day(day - timedelta(days=1), zone) == timedelta(hours=hours)


@pytest.mark.parametrize("zone", ZONES)
def test_days_follow_each_other_without_gap_or_overlap(zone: str) -> None:
    day = date(2026, 1, 1)
    while day < date(2027, 1, 1):
        end = end_of_business_day(day, zone)
        assert business_date(end - timedelta(microseconds=1), zone) == day
        assert business_date(end, zone) == day + timedelta(days=1)
        day += timedelta(days=1)


def test_a_repeated_hour_stays_on_its_day() -> None:
    for hour in (5, 6):
        assert business_date(datetime(2026, 11, 1, hour, 30, tzinfo=UTC), "America/New_York") == date(
            2026, 11, 1
        )


def test_the_lake_gets_utc_without_a_zone() -> None:
    local = datetime(2026, 7, 1, 8, tzinfo=ZoneInfo("America/New_York"))
    assert naive_utc(local) == datetime(2026, 7, 1, 12)
    with pytest.raises(ValueError, match="has no time zone"):
        naive_utc(datetime(2026, 7, 1))


def test_a_fixed_clock_stands_still_in_utc() -> None:
    clock = FixedClock(datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == clock.now() == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert clock.now().tzinfo is UTC


def test_a_set_instant_is_the_time_and_must_have_a_zone() -> None:
    assert clock_from(Settings(now="2026-03-01T12:00:00-05:00")).now() == datetime(2026, 3, 1, 17, tzinfo=UTC)
    assert isinstance(clock_from(Settings(now=None)), SystemClock)
    with pytest.raises(ValueError, match="has no time zone"):
        clock_from(Settings(now="2026-03-01T12:00:00"))


def test_the_systems_clock_is_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC
