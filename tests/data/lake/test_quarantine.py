"""Quarantine keeps a refused record once, notes each time that it came, and knows what still waits."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from lake_builders import NOON, a_session, arrival, bring, count, rows

from data.lake.intake import take_in
from data.lake.quarantine import Settlement, discard, settle
from data.lake.waiting import Scope, causes, refused_records, waiting_list, waiting_records
from data.lake.writer import LakeWriter

LATER = NOON + timedelta(hours=1)
REFUSED = "raw_quality.quarantined_records"
SIGHTINGS = "raw_quality.quarantine_sightings"


def naive(instant: datetime) -> datetime:
    return instant.replace(tzinfo=None)


def waiting(lake: LakeWriter, **scope: Any) -> list[str | None]:
    return waiting_list(lake.read, Scope(**scope))["record_id"].to_list()


def settle_all(lake: LakeWriter, settlement: Settlement = "loaded", *, at: datetime = NOON) -> None:
    ids = waiting_list(lake.read, Scope())["quarantine_id"].to_list()
    with lake.transaction():
        settle(lake, ids, settlement, by="test", settled_at=naive(at))


def test_a_refused_record_is_kept_once_and_every_sighting_is_noted(lake: LakeWriter) -> None:
    first = bring(lake, a_session(student_rating=6))
    second = bring(lake, a_session(student_rating=6), at=LATER, source="rails.webhook")
    assert count(lake, REFUSED) == count(lake, "pii.quarantined_records") == 1
    seen = rows(lake, SIGHTINGS, "seen_at")
    assert seen["seen_at"].to_list() == [naive(NOON), naive(LATER)]
    assert seen["batch_id"].to_list() == [first.batch_id, second.batch_id]
    assert seen["source"].to_list() == ["rails.pull", "rails.webhook"]
    kept = rows(lake, REFUSED, "1").row(0, named=True)
    assert (kept["source"], kept["first_seen_at"]) == ("rails.pull", naive(NOON))


def test_a_record_that_is_refused_twice_in_one_batch_was_seen_once(lake: LakeWriter) -> None:
    batch = bring(lake, a_session(student_rating=6), a_session(student_rating=6))
    assert batch.quarantined_count == 2
    assert (count(lake, REFUSED), count(lake, SIGHTINGS)) == (1, 1)


def test_two_kinds_with_the_same_broken_record_are_two_refusals(lake: LakeWriter) -> None:
    take_in(lake, "sessions", ["text"], arrival())
    take_in(lake, "reschedules", ["text"], arrival())
    assert sorted(rows(lake, REFUSED, "1")["kind"].to_list()) == ["reschedules", "sessions"]
    assert len({record.quarantine_id for record in waiting_records(lake.read, Scope(), limit=5)}) == 2


def test_what_waits_is_read_as_it_came(lake: LakeWriter) -> None:
    record = a_session(student_rating=6, student_comment="Zoë \u202e👩‍🏫")
    bring(lake, record)
    (read,) = waiting_records(lake.read, Scope(), limit=5)
    assert (read.record, read.is_whole) == (record, True)
    assert (read.kind, read.record_id, read.field, read.value) == ("sessions", "s1", "student_rating", "6")


def test_the_oldest_comes_first_and_a_limit_cuts_the_rest(lake: LakeWriter) -> None:
    for number in (2, 0, 1):
        bring(lake, a_session(f"s{number}", student_rating=6), at=NOON + timedelta(minutes=number))
    assert waiting(lake) == ["s0", "s1", "s2"]
    assert [one.record_id for one in waiting_records(lake.read, Scope(), limit=2)] == ["s0", "s1"]


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ({}, {"s1", "s2", "r1"}),
        ({"source": "rails.webhook"}, {"s2"}),
        ({"kind": "reschedules"}, {"r1"}),
        ({"field": "student_rating"}, {"s1"}),
        ({"field": "status", "kind": "sessions"}, {"s2"}),
        ({"field": "status", "source": "rails.pull"}, set()),
        ({"reason": "is not an ISO 8601 time"}, {"r1"}),
        ({"seen_until": naive(NOON)}, {"s1"}),
        ({"source": "' or true --"}, set()),
    ],
)
def test_a_scope_narrows_by_all_that_it_says(
    lake: LakeWriter, scope: dict[str, Any], found: set[str]
) -> None:
    bring(lake, a_session("s1", student_rating=6))
    bring(lake, a_session("s2", status="gone"), source="rails.webhook", at=LATER)
    told = {"rescheduled_at": "2026-03-01T11:00:00Z", "updated_at": "2026-03-01T11:00:00Z"}
    move = told | {"reschedule_id": "r1", "session_id": "s1", "original_start_at": 7}
    take_in(lake, "reschedules", [move], arrival(at=LATER))
    assert set(waiting(lake, **scope)) == found


@pytest.mark.parametrize("settlement", ["loaded", "duplicate", "superseded", "overtaken", "discarded"])
def test_what_is_settled_waits_no_longer(lake: LakeWriter, settlement: Settlement) -> None:
    bring(lake, a_session(student_rating=6))
    settle_all(lake, settlement)
    assert waiting(lake) == []
    assert count(lake, REFUSED) == 1, "it is settled, not forgotten"


def test_what_was_settled_and_comes_again_waits_again_unless_it_was_given_up(lake: LakeWriter) -> None:
    for name, settlement in (("loaded", "loaded"), ("given_up", "discarded")):
        bring(lake, a_session(name, student_rating=6))
        settle_all(lake, settlement)  # type: ignore[arg-type]
    bring(lake, a_session("loaded", student_rating=6), a_session("given_up", student_rating=6), at=LATER)
    assert waiting(lake) == ["loaded"]


def test_giving_up_takes_a_scope_and_tells_how_many(lake: LakeWriter) -> None:
    bring(
        lake,
        a_session("s1", student_rating=6),
        a_session("s2", student_rating=7),
        a_session("s3", status="?"),
    )
    scope = Scope(field="student_rating")
    assert discard(lake, scope, by="ann", discarded_at=naive(LATER)) == 2
    assert discard(lake, scope, by="ann", discarded_at=naive(LATER)) == 0
    assert waiting(lake) == ["s3"]
    settled = rows(lake, "raw_quality.quarantine_settlements", "1")
    assert set(settled["settled_by"]) == {"ann"}
    assert count(lake, "pii.quarantined_records") == 3, "the text of what was given up is kept"


def test_nothing_to_settle_is_nothing_written(lake: LakeWriter) -> None:
    settle_all(lake)
    assert count(lake, "raw_quality.quarantine_settlements") == 0


def test_causes_are_grouped_and_the_commonest_comes_first(lake: LakeWriter) -> None:
    bring(
        lake, *(a_session(f"s{number}", student_rating=6) for number in range(3)), a_session("s9", status="?")
    )
    bring(lake, a_session("s0", student_rating=6), at=LATER)
    found = causes(lake.read).to_dicts()
    assert [(row["field"], row["waiting"], row["sightings"]) for row in found] == [
        ("student_rating", 3, 4), ("status", 1, 1)
    ]  # fmt: skip
    assert (found[0]["first_seen_at"], found[0]["last_seen_at"]) == (naive(NOON), naive(LATER))
    discard(lake, Scope(field="status"), by="ann", discarded_at=naive(LATER))
    assert causes(lake.read)["field"].to_list() == ["student_rating"]
    everything = causes(lake.read, with_settled=True)
    assert dict(everything.select("field", "settled").iter_rows()) == {"student_rating": 0, "status": 1}


def test_refused_records_are_found_by_id_whether_they_wait_or_not(lake: LakeWriter) -> None:
    bring(lake, a_session("s1", student_rating=6), a_session("s2", student_rating=6))
    ids = rows(lake, REFUSED, "record_id")["quarantine_id"].to_list()
    settle_all(lake)
    assert [one.record_id for one in refused_records(lake.read, ids[:1])] == ["s1"]
    assert refused_records(lake.read, []) == []


@pytest.mark.parametrize("record", [None, "text", 7, [], {}, {"\ud800": "\x00"}, float("nan")])
def test_whatever_is_refused_can_be_stored_and_read_again(lake: LakeWriter, record: Any) -> None:
    bring(lake, record)
    (read,) = waiting_records(lake.read, Scope(), limit=5)
    assert read.record_id is None
    if record in (None, "text", 7, [], {}):
        assert (read.record, read.is_whole) == (record, True)
