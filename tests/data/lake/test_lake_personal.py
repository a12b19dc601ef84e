"""Personal data apart: stored before its record, never twice, read by one role only, and recalled once erased."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from lake_builders import NOON, a_session, arrival, bring, catalogue_text, count, rows

from data.contracts.personal import Person
from data.lake import intake
from data.lake.erasure import erase, files_holding, held_of, is_known, traces_of
from data.lake.intake import take_in
from data.lake.personal import forget_history, remember_erased
from data.lake.reader import LakeReader
from data.lake.upkeep import keep_up
from data.lake.writer import LakeWriter
from data.postgres import PERSONAL_CATALOGUE, Postgres, engine_for
from data.settings import Settings
from data.traces import Traces

DANA = Person("customer", "c1")
NOBODY_ELSE = ("Dana Quillfeather", "dana.quillfeather@example.org", "+1 555 0142")


def a_customer(customer_id: str = "c1", **changes: Any) -> dict[str, Any]:
    return {
        "customer_id": customer_id,
        "updated_at": "2026-03-01T11:00:00Z",
        "full_name": NOBODY_ELSE[0],
        "email": NOBODY_ELSE[1],
        "phone": NOBODY_ELSE[2],
    } | changes


def bring_customers(lake: LakeWriter, *records: Any) -> None:
    take_in(lake, "customers", list(records), arrival())


def everything_about_dana(lake: LakeWriter) -> None:
    bring_customers(
        lake,
        a_customer(),
        a_customer(phone="+1 555 0143"),
        a_customer("c2", full_name="Otto Other", email="otto@example.org", phone=None),
    )
    bring(
        lake,
        a_session("s1", student_comment="We went through the long division twice.", video_url="https://v.example/s1"),
        a_session("s2", customer_id="c2", tutor_comment="Ask Dana Quillfeather for her notes."),
        a_session("s3", customer_id="c2", tutor_comment="Nothing to add."),
        a_session("s4", student_rating=6, student_comment="Refused, and about Dana all the same."),
        a_session("s5", customer_id="c2", student_rating=7, parent="Dana Quillfeather"),
    )  # fmt: skip


def stop_at(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(intake, step, stop)


def test_a_kill_between_texts_and_record_is_finished_by_the_rerun_without_doubling(
    lake: LakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [a_session(student_comment="x"), a_session("s2", tutor_comment="y"), None]
    with monkeypatch.context() as patched:
        stop_at("_store_rows", patched)
        with pytest.raises(KeyboardInterrupt):
            bring(lake, *batch)
    assert (count(lake, "pii.sessions"), count(lake, "raw_marketplace.sessions")) == (2, 0)
    bring(lake, *batch, at=NOON + timedelta(hours=1))
    assert (count(lake, "pii.sessions"), count(lake, "raw_marketplace.sessions")) == (2, 2)
    assert count(lake, "pii.quarantined_records") == count(lake, "raw_quality.quarantined_records") == 1


def test_texts_whose_record_never_followed_are_swept_by_upkeep(
    lake: LakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(lake, a_session("kept", student_comment="stays"))
    with monkeypatch.context() as patched:
        stop_at("_store_rows", patched)
        with pytest.raises(KeyboardInterrupt):
            bring(lake, a_session("lost", student_comment="goes"), "refused")
    report = keep_up(lake, retained_snapshots=[])
    assert report.swept_texts == 2
    assert rows(lake, "pii.sessions", "1")["session_id"].to_list() == ["kept"]
    assert count(lake, "pii.quarantined_records") == 0
    assert keep_up(lake, retained_snapshots=[]).swept_texts == 0


def test_upkeep_keeps_no_history_of_personal_data(lake: LakeWriter, state_settings: Settings) -> None:
    for number in range(4):
        bring(lake, a_session(f"s{number}", student_comment="x"))
    keep_up(lake, retained_snapshots=[])
    assert lake.read("select count(*) as n from pii.snapshots()")["n"][0] == 1
    files = list(Path(state_settings.personal_path).rglob("sessions/*.parquet"))
    assert len(files) == 1, "the four small files are one now, and gone"
    assert count(lake, "pii.sessions") == 4


def test_upkeep_of_the_lake_leaves_personal_files_alone(lake: LakeWriter) -> None:
    bring(lake, a_session(student_comment="x"))
    orphans = lake.read("call ducklake_delete_orphaned_files('lake', dry_run => true, cleanup_all => true)")
    assert not [path for path in orphans.to_series() if "-pii/" in path]


def as_role(postgres: Postgres, *, personal: bool) -> "psycopg2.extensions.connection":
    connection = psycopg2.connect(postgres.libpq("lake", reader=True, personal=personal))
    connection.autocommit = True
    return connection


def test_the_plain_role_is_denied_the_personal_catalogue(lake: LakeWriter, postgres: Postgres) -> None:
    everything_about_dana(lake)
    connection = as_role(postgres, personal=False)
    for statement in (
        f"select * from {PERSONAL_CATALOGUE}.ducklake_file_column_stats",
        f"select * from {PERSONAL_CATALOGUE}.ducklake_table",
    ):
        with connection.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement)
    connection.close()


def test_the_personal_role_reads_its_own_catalogue_and_not_the_lakes(
    lake: LakeWriter, postgres: Postgres
) -> None:
    everything_about_dana(lake)
    connection = as_role(postgres, personal=True)
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {PERSONAL_CATALOGUE}.ducklake_table")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("select * from public.ducklake_table")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(f"delete from {PERSONAL_CATALOGUE}.ducklake_table")
    connection.close()


def test_no_personal_value_is_in_anything_that_the_plain_role_can_select(
    lake: LakeWriter, postgres: Postgres
) -> None:
    everything_about_dana(lake)
    connection = as_role(postgres, personal=False)
    with connection.cursor() as cursor:
        cursor.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables "
            "where has_schema_privilege(schemaname, 'usage') "
            "and has_table_privilege(format('%I.%I', schemaname, tablename), 'select')"
        )
        tables = [name for (name,) in cursor.fetchall()]
        assert "public.ducklake_file_column_stats" in tables
        found = []
        for table in tables:
            cursor.execute(f"select t::text from {table} as t")
            text = "\n".join(line for (line,) in cursor.fetchall() if line)
            found += [
                (table, one)
                for one in NOBODY_ELSE
                for spelled in (one, one.encode().hex())
                if spelled in text
            ]
    connection.close()
    assert found == []


def test_a_personal_reader_sees_the_newest_texts_whatever_version_it_is_pinned_to(
    lake: LakeWriter, state_settings: Settings
) -> None:
    bring_customers(lake, a_customer())
    reader = LakeReader(state_settings, snapshot_id=lake.snapshot_id(), personal=True)
    before = reader.personal_snapshot_id()
    assert reader.query("select full_name from pii.customers").rows() == [(NOBODY_ELSE[0],)]
    erase(lake, DANA, traces_of(lake, DANA))
    assert reader.query("select full_name from pii.customers").rows() == []
    assert reader.query("select customer_id from raw_marketplace.customers").rows() == [("c1",)]
    assert reader.personal_snapshot_id() > before
    reader.close()


def test_the_texts_of_a_person_are_those_that_nobody_else_has(lake: LakeWriter) -> None:
    everything_about_dana(lake)
    bring(lake, a_session("s6", tutor_comment="We went on with the chapter, as always."))
    bring(lake, a_session("s7", customer_id="c2", tutor_comment="We went on with the chapter, as always."))
    bring_customers(
        lake, a_customer("c3", full_name="Someone", email="Dana Quillfeather-Smith", phone="+1 555 0142")
    )
    traces = traces_of(lake, DANA)
    assert traces.own == (*sorted(("+1 555 0143", NOBODY_ELSE[1])),)
    assert "We went through the long division twice." in traces.told
    assert "We went on with the chapter, as always." not in traces.told
    assert traces.shared_count == 3


def test_an_erased_person_is_gone_from_rows_files_and_statistics_and_others_stay(
    lake: LakeWriter, postgres: Postgres, state_settings: Settings
) -> None:
    everything_about_dana(lake)
    facts = {
        name: rows(lake, name, "all") for name in ("raw_marketplace.sessions", "raw_marketplace.customers")
    }
    traces = traces_of(lake, DANA)
    assert held_of(lake, DANA, traces) >= 5
    erase(lake, DANA, traces)
    assert held_of(lake, DANA, traces) == 0
    assert files_holding(lake, state_settings.personal_path, traces) == 0
    engine = engine_for(postgres.url("lake"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"vacuum {PERSONAL_CATALOGUE}.ducklake_table_column_stats"))
    assert not [
        name for name, text in catalogue_text(postgres).items() for one in traces.spelled if one in text
    ]
    assert rows(lake, "pii.customers", "1")["customer_id"].to_list() == ["c2"]
    comments = rows(lake, "pii.sessions", "session_id").select("session_id", "tutor_comment").rows()
    assert comments == [("s2", "Ask c1 for her notes."), ("s3", "Nothing to add.")]
    for name, before in facts.items():
        assert rows(lake, name, "all").equals(before)


def test_erasing_twice_is_erasing_once(lake: LakeWriter) -> None:
    everything_about_dana(lake)
    traces = traces_of(lake, DANA)
    erase(lake, DANA, traces)
    before = {
        name: rows(lake, f"pii.{name}", "all") for name in ("sessions", "customers", "quarantined_records")
    }
    erase(lake, DANA, traces)
    for name, frame in before.items():
        assert rows(lake, f"pii.{name}", "all").equals(frame)


REDELIVERIES: list[Callable[[LakeWriter], Any]] = [
    lambda lake: bring_customers(lake, a_customer()),
    lambda lake: bring_customers(
        lake, a_customer(email="new@example.org", updated_at="2026-03-02T11:00:00Z")
    ),
    lambda lake: bring(lake, a_session("s1", student_comment="We went through the long division twice.")),
    lambda lake: bring(lake, a_session("s9", student_comment="A later session, as personal as the first.")),
    lambda lake: bring(lake, a_session("s9", student_rating=9, student_comment="Refused this time.")),
]


@pytest.mark.parametrize("deliver", REDELIVERIES)
def test_nothing_personal_of_an_erased_person_is_stored_again(
    lake: LakeWriter, deliver: Callable[[LakeWriter], Any]
) -> None:
    everything_about_dana(lake)
    traces = traces_of(lake, DANA)
    remember_erased(lake, DANA, erased_at=NOON.replace(tzinfo=None))
    erase(lake, DANA, traces)
    deliver(lake)
    assert held_of(lake, DANA, traces) == 0
    assert lake.read("select 1 from pii.customers where customer_id = 'c1'").is_empty()
    assert not rows(lake, "pii.quarantined_records", "1")["record_json"].str.contains("Refused this").any()


def test_the_same_version_of_an_erased_persons_record_is_still_a_duplicate(lake: LakeWriter) -> None:
    everything_about_dana(lake)
    remember_erased(lake, DANA, erased_at=NOON.replace(tzinfo=None))
    erase(lake, DANA, traces_of(lake, DANA))
    batch = take_in(lake, "customers", [a_customer()], arrival())
    assert (batch.loaded_count, batch.duplicate_count) == (0, 1)


def test_what_was_said_in_a_session_goes_with_either_of_the_two(lake: LakeWriter) -> None:
    everything_about_dana(lake)
    tutor = Person("tutor", "t1")
    remember_erased(lake, tutor, erased_at=NOON.replace(tzinfo=None))
    erase(lake, tutor, traces_of(lake, tutor))
    assert count(lake, "pii.sessions") == 0
    assert count(lake, "pii.customers") == 3


def test_a_person_is_known_only_if_some_record_names_them(lake: LakeWriter) -> None:
    everything_about_dana(lake)
    assert is_known(lake, DANA)
    assert is_known(lake, Person("tutor", "t1"))
    assert not is_known(lake, Person("customer", "c99"))
    assert not is_known(lake, Person("tutor", "c1"))


def test_history_that_is_forgotten_takes_its_files_with_it(
    lake: LakeWriter, state_settings: Settings
) -> None:
    bring_customers(lake, a_customer())
    lake.connection.execute("delete from pii.customers")
    assert files_holding(lake, state_settings.personal_path, traces_with(NOBODY_ELSE[0])) >= 1
    forget_history(lake, is_alone=True)
    assert files_holding(lake, state_settings.personal_path, traces_with(NOBODY_ELSE[0])) == 0


def traces_with(*texts: str) -> Traces:
    return Traces(identifier="c1", own=texts)
