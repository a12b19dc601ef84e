"""Engagement by day: the groups, the range, and what is not added up."""

from typing import Any

import pytest
from api_builders import METRICS, Door, assert_problem


def days(door: Door, **query: Any) -> list[tuple[str, str, int, int]]:
    return [tuple(day.values()) for day in door.get(METRICS, **query).json()["days"]]


def test_by_default_the_last_thirty_days_by_what_was_done(door: Door, version: int) -> None:
    answer = door.get(METRICS).json()
    assert answer == {
        "version": version,
        "as_of_date": "2026-03-02",
        "grouped_by": "event_type",
        "from_date": "2026-02-01",
        "until_date": "2026-03-03",
        "days": [
            {"event_date": "2026-03-01", "group_value": "login", "event_count": 10, "actor_count": 3},
            {"event_date": "2026-03-02", "group_value": "login", "event_count": 20, "actor_count": 3},
        ],
    }


def test_actors_of_a_day_are_not_the_sum_of_its_groups(door: Door) -> None:
    groups = days(door, by="actor_type", until="2026-03-02")
    assert groups == [("2026-03-01", "customer", 4, 2), ("2026-03-01", "tutor", 6, 2)]
    assert days(door, by="day", until="2026-03-02") == [("2026-03-01", "all", 10, 3)]


def test_from_is_included_and_until_is_not(door: Door) -> None:
    assert days(door, **{"from": "2026-03-02"}) == [("2026-03-02", "login", 20, 3)]
    assert days(door, **{"from": "2026-03-01", "until": "2026-03-02"}) == [("2026-03-01", "login", 10, 3)]
    assert days(door, **{"from": "2026-03-02", "until": "2026-03-02"}) == []


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-03-02", "until": "2026-03-01"},
        {"from": "2025-01-01", "until": "2026-03-01"},
        {"from": "yesterday"},
        {"from": "2026-02-30"},
        {"until": "9999-12-31"},
        {"until": "2026-03-01T00:00:00Z"},
        {"by": "tutor"},
        {"by": ""},
    ],
)
def test_a_range_or_group_that_is_none_is_refused(door: Door, query: dict[str, str]) -> None:
    assert_problem(door.get(METRICS, **query), 422)
