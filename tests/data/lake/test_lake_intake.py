"""The one way in: nothing is lost, nothing is doubled, and all of a batch is stored or none of it."""

import dataclasses
import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from lake_builders import NOON, a_session, arrival, bring, catalogue_text, count, rows, sessions

from data.contracts import CONTRACTS, Correction, Kind, judge
from data.lake import intake
from data.lake.connection import LakeError
from data.lake.cursors import cursor_of, save_cursor
from data.lake.intake import Batch, take_in
from data.lake.writer import LakeWriter, open_writer
from data.postgres import Postgres
from data.settings import Settings

TEXTS = ("pii.sessions", "pii.quarantined_records")
STORES = (
    "raw_marketplace.sessions",
    "raw_quality.quarantined_records",
    "raw_quality.ingestion_batches",
    "raw_quality.pull_cursors",
)
FULL: dict[Kind, dict[str, Any]] = {
    "customers": {
        "customer_id": "c1",
        "updated_at": "2026-03-01T11:00:00Z",
        "goals": [{"goal_id": "g1", "subject": "maths", "set_at": "2026-01-01T00:00:00Z"}],
        "full_name": "Ann Example",
    },
    "tutors": {
        "tutor_id": "t1",
        "updated_at": "2026-03-01T11:00:00Z",
        "subjects": ["maths"],
        "availability": [{"weekday": 0, "start": "09:00", "end": "17:00"}],
        "leave": [{"starts_on": "2026-04-01", "ends_on": "2026-04-03"}],
    },
    "inbound_calls": {
        "call_id": "k1",
        "called_at": "2026-03-01T09:00:00Z",
        "updated_at": "2026-03-01T11:00:00Z",
    },
    "reschedules": {
        "reschedule_id": "r1",
        "session_id": "s1",
        "student_id": "c1",
        "original_start_time": "2026-03-01T09:00:00Z",
        "rescheduled_at": "2026-02-28T09:00:00Z",
        "updated_at": "2026-03-01T11:00:00Z",
    },
    "engagement_events": {
        "event_id": "e1",
        "actor_type": "tutor",
        "actor_id": "t1",
        "event_type": "login",
        "occurred_at": "2026-03-01T09:00:00Z",
        "updated_at": "2026-03-01T11:00:00Z",
    },
}


def test_a_record_is_stored_with_where_and_when_it_came_from(lake: LakeWriter) -> None:
    batch = bring(lake, a_session())
    row = rows(lake, "raw_marketplace.sessions", "1").to_dicts()[0]
    assert (row["source"], row["batch_id"]) == ("rails.pull", batch.batch_id)
    assert row["ingested_at"] == NOON.replace(tzinfo=None)
    assert row["scheduled_start_at"] == datetime(2026, 3, 1, 10)


@pytest.mark.parametrize("kind", FULL)
def test_every_kind_is_stored_once(lake: LakeWriter, kind: Kind) -> None:
    bare = {
        name: FULL[kind][name]
        for name in FULL[kind]
        if name not in ("goals", "subjects", "availability", "leave")
    }
    for records in ([FULL[kind]], [bare | {CONTRACTS[kind].key: "other"}], [FULL[kind]]):
        take_in(lake, kind, records, arrival())
    stored = rows(lake, f"raw_marketplace.{kind}", "1, 2").to_dicts()
    expected = judge(kind, [FULL[kind]]).rows[0]
    row = next(row for row in stored if row[CONTRACTS[kind].key] == expected[CONTRACTS[kind].key])
    assert len(stored) == 2
    assert {name: row[name] for name in expected.keys() - CONTRACTS[kind].personal} == {
        name: value for name, value in expected.items() if name not in CONTRACTS[kind].personal
    }


def test_a_second_intake_adds_nothing(lake: LakeWriter) -> None:
    records = [*sessions(50, student_comment="x"), a_session("bad", status="?"), None]
    first = bring(lake, *records)
    before = {name: count(lake, name) for name in STORES + TEXTS}
    again = bring(lake, *records, at=NOON + timedelta(hours=1))
    assert (first.loaded_count, first.duplicate_count, first.quarantined_count) == (50, 0, 2)
    assert (again.loaded_count, again.duplicate_count, again.quarantined_count) == (0, 50, 2)
    after = {name: count(lake, name) for name in STORES + TEXTS}
    assert after == before | {"raw_quality.ingestion_batches": 2}


def test_a_record_twice_in_one_batch_is_stored_once(lake: LakeWriter) -> None:
    batch = bring(lake, a_session(), a_session(), a_session(student_rating=3))
    assert (batch.loaded_count, batch.duplicate_count) == (2, 1)


def test_the_same_record_from_two_feeds_is_one_version(lake: LakeWriter) -> None:
    bring(lake, a_session(), source="rails.webhook")
    assert bring(lake, a_session(), source="rails.pull").duplicate_count == 1
    assert rows(lake, "raw_marketplace.sessions", "1")["source"].to_list() == ["rails.webhook"]


def test_a_late_update_adds_a_version_and_keeps_the_old_one(lake: LakeWriter) -> None:
    bring(lake, a_session())
    bring(lake, a_session(student_rating=2, updated_at="2026-03-01T12:00:00Z"))
    bring(lake, a_session(updated_at="2026-03-01T09:00:00Z"))
    assert rows(lake, "raw_marketplace.sessions", "updated_at")["student_rating"].to_list() == [
        None,
        None,
        2.0,
    ]


def test_an_empty_batch_is_accounted_for(lake: LakeWriter) -> None:
    assert bring(lake).read_count == 0
    assert count(lake, "raw_quality.ingestion_batches") == 1


def test_conservation_holds_on_any_mixture(lake: LakeWriter) -> None:
    generator = random.Random(5)
    pool: list[Any] = [
        a_session(f"s{n}", student_rating=generator.choice([None, 1, 5, 6])) for n in range(40)
    ]
    pool += [None, 7, "text", {}, a_session(""), a_session("é\u202e👩‍🏫"), a_session("'; drop table x;--")]
    for _ in range(12):
        bring(lake, *generator.choices(pool, k=generator.randrange(30)))
    good = {row["session_id"] for row in judge("sessions", pool).rows}
    stored = rows(lake, "raw_marketplace.sessions", "1")["session_id"].to_list()
    assert len(stored) == len(set(stored))
    assert set(stored) <= good


def test_of_ten_thousand_records_a_thousand_poisoned_ones_are_quarantined(lake: LakeWriter) -> None:
    poisons: list[dict[str, Any]] = [
        {"student_rating": 6},
        {"student_rating": float("nan")},
        {"updated_at": 0},
        {"scheduled_end_at": "2026-03-01T09:00:00Z"},
        {"student_comment": "x\x00"},
        {"ai_summary": "x" * 1_000_000},
        {"scheduled_start_at": "9999-12-31T23:59:59-10:00"},
        {"subject_id": "\ud800"},
    ]
    generator = random.Random(3)
    records = sessions(10_000, student_comment="=1+1", tutor_comment="<b>مرحبا 👩‍🏫</b>")
    for number in range(0, 10_000, 10):
        # A long text costs a second by the hundred, so it is rare; the others take turns.
        poison = poisons[5] if number % 1_000 == 0 else generator.choice(poisons[:5] + poisons[6:])
        records[number] |= poison
    batch = bring(lake, *records)
    assert (batch.loaded_count, batch.quarantined_count) == (9_000, 1_000)
    assert count(lake, "raw_marketplace.sessions") == count(lake, "pii.sessions") == 9_000
    assert count(lake, "raw_quality.quarantined_records") == count(lake, "pii.quarantined_records") == 1_000
    assert lake.read("select distinct student_comment, tutor_comment from pii.sessions").rows() == [
        ("=1+1", "<b>مرحبا 👩‍🏫</b>")
    ]


@pytest.mark.parametrize("step", ["store_refusals", "store_shape", "_check_conservation", "save_cursor"])
def test_a_failure_after_the_rows_leaves_neither_rows_nor_cursor(
    lake: LakeWriter, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(intake, step, fail)
        with pytest.raises(KeyboardInterrupt):
            take_in(
                lake,
                "sessions",
                [a_session(student_comment="x"), None],
                arrival(),
                cursor_at=datetime(2026, 3, 1),
            )
    assert {name: count(lake, name) for name in STORES} == dict.fromkeys(STORES, 0)
    batch = take_in(lake, "sessions", [a_session()], arrival(), cursor_at=datetime(2026, 3, 1))
    assert batch.loaded_count == 1


def test_a_batch_that_does_not_add_up_is_not_stored(
    lake: LakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(kind: Kind, records: Any, **_: Any) -> Any:
        judged = judge(kind, records)
        judged.refusals.clear()
        return judged

    monkeypatch.setattr(intake, "judge", forgetful)
    with pytest.raises(LakeError, match="read 2 records but accounts for 1"):
        take_in(lake, "sessions", [a_session(), None], arrival())
    assert count(lake, "raw_marketplace.sessions") == 0


def test_corrections_are_applied_before_a_record_is_judged(lake: LakeWriter) -> None:
    mended = dataclasses.replace(
        arrival(), corrections=(Correction("replace", "status", "done", "finished"),)
    )
    batch = take_in(
        lake, "sessions", [a_session("s1", status="done"), a_session("s2", status="gone")], mended
    )
    assert (batch.loaded_count, batch.quarantined_count) == (1, 1)
    assert take_in(lake, "sessions", [a_session("s1")], arrival()).duplicate_count == 1


def test_what_must_be_true_together_with_a_batch_is_written_with_it_or_not_at_all(lake: LakeWriter) -> None:
    def note(batch: Batch) -> None:
        save_cursor(
            lake, source="also", kind="sessions", cursor_at=batch.started_at, batch_id=batch.batch_id,
            saved_at=batch.started_at,
        )  # fmt: skip

    def note_and_fail(batch: Batch) -> None:
        note(batch)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_in(lake, "sessions", [a_session()], arrival(), also=note_and_fail)
    assert cursor_of(lake, source="also", kind="sessions") is None
    assert count(lake, "raw_marketplace.sessions") == 0
    batch = take_in(lake, "sessions", [a_session()], arrival(), also=note)
    assert batch.loaded_count == 1
    assert cursor_of(lake, source="also", kind="sessions") == batch.started_at


def test_personal_text_is_in_its_own_catalogue_and_nowhere_else(lake: LakeWriter, postgres: Postgres) -> None:
    canary = "canary-4711@example.org"
    personal = CONTRACTS["sessions"].personal
    bring(lake, a_session("s1", **dict.fromkeys(personal, canary)), a_session("s2"))
    bring(lake, a_session(status=canary), canary, a_session({"email": canary}), a_session(tutor_id=[canary]))
    take_in(
        lake,
        "customers",
        [FULL["customers"] | {"full_name": canary, "email": canary, "phone": canary}],
        arrival(),
    )
    tables = lake.read(
        "select database_name || '.' || schema_name || '.' || table_name as name from duckdb_tables() "
        "where database_name in ('lake', 'pii')"
    )["name"]
    found = "select 1 from {} as t where contains(t::varchar, $canary)"
    holding = {name for name in tables if lake.read(found.format(name), {"canary": canary}).height}
    assert holding == {"pii.main.sessions", "pii.main.customers", "pii.main.quarantined_records"}
    assert rows(lake, "pii.sessions", "1")["session_id"].to_list() == ["s1"], (
        "a row only where there is a text"
    )
    # Postgres shows the bytes of a text in hexadecimal.
    spellings = (canary, canary.encode().hex())
    holding = {
        name for name, text in catalogue_text(postgres).items() if any(map(text.__contains__, spellings))
    }
    assert holding == {
        "pii_catalogue.ducklake_file_column_stats",
        "pii_catalogue.ducklake_table_column_stats",
    }


def test_a_refusal_keeps_its_text_apart_from_its_reason(lake: LakeWriter) -> None:
    bring(lake, a_session(student_rating=6, student_comment="private"))
    reason = rows(lake, "raw_quality.quarantined_records", "1").to_dicts()[0]
    text = rows(lake, "pii.quarantined_records", "1").to_dicts()[0]
    assert (reason["record_id"], reason["field"], reason["source"]) == ("s1", "student_rating", "rails.pull")
    assert "private" in text["record_json"]
    assert reason["quarantine_id"] == text["quarantine_id"]


def test_two_feeds_that_bring_the_same_records_at_once_store_them_once(
    lake: LakeWriter, state_settings: Settings
) -> None:
    records = sessions(200)
    together = threading.Barrier(2)
    problems: list[BaseException] = []

    def feed(source: str) -> Callable[[], None]:
        def run() -> None:
            try:
                with open_writer(state_settings) as writer:
                    for start in range(0, 200, 40):
                        together.wait(timeout=30)
                        bring(writer, *records[start : start + 40], source=source)
            except BaseException as error:
                problems.append(error)

        return run

    threads = [threading.Thread(target=feed(source)) for source in ("rails.pull", "rails.webhook")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert count(lake, "raw_marketplace.sessions") == 200
    totals = lake.read(
        "select sum(read_count) as r, sum(loaded_count) as l from lake.raw_quality.ingestion_batches"
    )
    assert totals.row(0) == (400, 200)
