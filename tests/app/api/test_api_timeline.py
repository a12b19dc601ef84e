"""The timeline of a tutor: whole, in order, in pages, and of one version."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from api_builders import TIMELINE, Door, assert_problem
from hypothesis import given
from hypothesis import strategies as st

from app.api.timeline import read_cursor, write_cursor
from app.problems import Problem

T1 = TIMELINE.format("t1")


def pages(door: Door, **query: Any) -> list[list[dict[str, Any]]]:
    found, cursor = [], None
    while True:
        answer = door.get(T1, **query, **({"cursor": cursor} if cursor else {})).json()
        found.append(answer["entries"])
        cursor = answer["next_cursor"]
        if cursor is None:
            return found


def test_a_timeline_is_newest_first_and_says_its_version(door: Door, version: int) -> None:
    answer = door.get(T1).json()
    places = [(entry["occurred_at"], entry["event_id"]) for entry in answer["entries"]]
    assert places == sorted(places, reverse=True)
    assert (answer["tutor_id"], answer["version"], answer["as_of_date"]) == ("t1", version, "2026-03-02")
    assert answer["next_cursor"] is None
    assert len(places) == 50
    assert answer["entries"][0] == {
        "event_id": "session:0048",
        "kind": "session",
        "event_type": "completed",
        "occurred_at": "2026-02-02T02:00:00.000Z",
        "session_id": "s48",
        "customer_id": "c1",
        "subject_id": "maths",
        "details": {"late_minutes": 12.5},
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 49, 50, 51, 500])
def test_pages_of_any_size_hold_every_entry_once(door: Door, limit: int) -> None:
    whole = door.get(T1, limit=500).json()["entries"]
    found = pages(door, limit=limit)
    assert [entry for page in found for entry in page] == whole
    assert all(len(page) == limit for page in found[:-1])
    assert found[-1]


def test_from_is_included_and_until_is_not(door: Door) -> None:
    hour = datetime(2026, 2, 1, 12)
    found = door.get(
        T1, **{"from": f"{hour.isoformat()}Z", "until": f"{(hour + timedelta(hours=2)).isoformat()}Z"}
    )
    assert {entry["occurred_at"][11:13] for entry in found.json()["entries"]} == {"12", "13"}
    assert len(found.json()["entries"]) == 6


def test_a_zone_in_the_question_is_understood(door: Door) -> None:
    east = door.get(T1, **{"from": "2026-02-01T20:00:00-05:00"}).json()["entries"]
    assert east == door.get(T1, **{"from": "2026-02-02T01:00:00Z"}).json()["entries"] != []


def test_pages_of_a_range_stay_in_it(door: Door) -> None:
    query = {"from": "2026-02-01T12:00:00Z", "until": "2026-02-01T20:00:00Z"}
    assert [e for page in pages(door, limit=5, **query) for e in page] == door.get(T1, **query).json()[
        "entries"
    ]


def test_a_tutor_with_nothing_has_an_empty_timeline_and_one_of_whom_nobody_knows_has_none(door: Door) -> None:
    assert door.get(TIMELINE.format("t_quiet")).json()["entries"] == []
    assert_problem(door.get(TIMELINE.format("t9")), 404)


def test_nobody_sees_the_entries_of_another_tutor_by_a_cursor(door: Door) -> None:
    cursor = door.get(T1, limit=1).json()["next_cursor"]
    others = door.get(TIMELINE.format("t2"), cursor=cursor).json()["entries"]
    assert [entry["event_id"] for entry in others] == ["session:0001"]


@given(st.datetimes(min_value=datetime(2000, 1, 1)), st.text())
def test_a_cursor_comes_back_as_it_went(at: datetime, event_id: str) -> None:
    try:
        event_id.encode()
    except UnicodeEncodeError:
        return
    assert read_cursor(write_cursor(at, event_id)) == (at, event_id)


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda value: value.hex()))
def test_a_cursor_of_somebody_else_is_refused_and_nothing_worse(text: str) -> None:
    with pytest.raises(Problem, match="400 Not a cursor"):
        read_cursor(text)


def test_a_cursor_that_was_changed_is_refused(door: Door) -> None:
    cursor = door.get(T1, limit=1).json()["next_cursor"]
    generator = random.Random(7)
    for _ in range(50):
        place = generator.randrange(len(cursor))
        changed = cursor[:place] + generator.choice("ABCxyz019-_=") + cursor[place + 1 :]
        answer = door.get(T1, cursor=changed)
        # A changed cursor may still be a place in time; then it is only that.
        assert answer.status_code in (200, 400)
