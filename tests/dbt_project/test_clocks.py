"""The one translation between wall clocks and instants, held against the zones as Python knows them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import jinja2
import pytest

from data.clock import end_of_business_day
from tests.dbt_project.lake import PROJECT

YEAR = datetime(2026, 1, 1)
ZONES = (
    "America/New_York",
    "America/St_Johns",  # half an hour off
    "Australia/Lord_Howe",  # jumps by half an hour
    "America/Havana",  # jumps at midnight
    "Africa/Cairo",  # the same, other way round
    "Europe/London",
    "Asia/Kolkata",  # never jumps
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("set TimeZone = 'UTC'")
        yield opened


def macros(zone: str) -> Any:
    """Return the macros of a run whose business lives in a zone. They are plain Jinja."""
    text = (PROJECT / "macros" / "time.sql").read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    return environment.from_string(text, globals={"var": {"business_time_zone": zone}.get}).module


def shown(instant: datetime, zone: str) -> datetime:
    """Return what a clock of the zone shows."""
    return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def jumps(zone: str) -> list[datetime]:
    """Return the instants of the year at which the clocks of a zone jump."""
    halves = [YEAR + timedelta(minutes=30 * number) for number in range(365 * 48)]
    return [
        after
        for before, after in itertools.pairwise(halves)
        if shown(after, zone) - shown(before, zone) != timedelta(minutes=30)
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_a_time_is_the_first_instant_at_which_a_clock_shows_it_or_has_jumped_past_it(
    connection: duckdb.DuckDBPyConnection, zone: str
) -> None:
    around = jumps(zone) or [YEAR + timedelta(days=100)]
    for jump in around:
        instants = [jump + timedelta(minutes=5 * number) for number in range(-72, 72)]
        walls = [
            shown(jump, zone).replace(minute=0) + timedelta(minutes=5 * number) for number in range(-24, 24)
        ]
        expected = [next(instant for instant in instants if shown(instant, zone) >= wall) for wall in walls]
        sql = macros(zone).first_shown("walls.wall", "$zone")
        found = connection.execute(
            f"select {sql} from (select unnest($walls::timestamp[]) as wall) as walls order by walls.wall",
            {"zone": zone, "walls": walls},
        ).fetchall()
        assert [row[0] for row in found] == expected, jump


@pytest.mark.parametrize("zone", ZONES)
def test_every_instant_belongs_to_one_business_day_and_python_agrees(
    connection: duckdb.DuckDBPyConnection, zone: str
) -> None:
    written = macros(zone)
    days = connection.execute(
        f"select day, {written.first_instant_of('day')} as starts_at from "
        "(select unnest(generate_series(date '2025-12-31', date '2027-01-01', interval 1 day))::date as day) "
        "order by day"
    ).fetchall()
    for (day, starts_at), (_, ends_at) in itertools.pairwise(days):
        assert end_of_business_day(day, zone).replace(tzinfo=None) == ends_at, day
        for instant in (starts_at, starts_at + (ends_at - starts_at) / 2, ends_at - timedelta(seconds=1)):
            found = connection.execute(
                f"select {written.business_date('$instant::timestamp')}", {"instant": instant}
            )
            assert found.fetchone() == (day,), instant


def test_the_days_of_the_clocks_are_an_hour_shorter_and_longer(connection: duckdb.DuckDBPyConnection) -> None:
    written = macros("America/New_York")
    for day, hours in ((date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 6, 1), 24)):
        literal = f"date '{day}'"
        sql = f"select {written.first_instant_of(literal + ' + 1')} - {written.first_instant_of(literal)}"
        assert connection.execute(sql).fetchone() == (timedelta(hours=hours),)
