"""A file becomes records in the lake: what is read, what is kept, what is refused and what is told."""

import gzip
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from import_builders import (
    BOOKINGS,
    a_fresh_lake,
    bookings_mapping,
    empty,
    run_import,
    sessions_of,
    stored_rows,
    write_parquet,
    write_text,
)

from assets.ingest.mapping import MAPPINGS, Mapping, load_mapping
from data.contracts import KINDS, Kind, judge
from data.lake.writer import LakeWriter


@pytest.fixture(scope="module")
def shared_lake() -> Iterator[LakeWriter]:
    with a_fresh_lake() as lake:
        yield lake


@pytest.fixture
def lake(shared_lake: LakeWriter) -> LakeWriter:
    empty(shared_lake)
    return shared_lake


def starts(lake: LakeWriter) -> dict[str, datetime]:
    return {row["session_id"]: row["scheduled_start_at"] for row in sessions_of(lake)}


def one_booking(begins: str) -> str:
    return f"booking,coach,pupil,topic,begins,came,stars\na,anna,p1,maths,{begins},,\n"


def test_a_csv_of_bookings_becomes_sessions_in_utc(lake: LakeWriter, tmp_path: Path) -> None:
    report = run_import(lake, write_text(tmp_path, BOOKINGS), bookings_mapping())
    first = sessions_of(lake)[0]
    assert (report.read_count, report.loaded_count, report.duplicate_count, report.quarantined_count) == (
        3,
        3,
        0,
        0,
    )
    assert first["session_id"] == "007", "identifiers keep their leading zeros"
    assert first["scheduled_start_at"] == datetime(2026, 1, 10, 20)
    assert (first["source"], first["student_rating"], first["join_kind"]) == (
        "import.bookings",
        5.0,
        "meeting",
    )
    assert sessions_of(lake)[1]["tutor_joined_at"] is None
    assert sessions_of(lake)[1]["student_rating"] is None


def test_a_second_import_adds_nothing(lake: LakeWriter, tmp_path: Path) -> None:
    file = write_text(tmp_path, BOOKINGS)
    run_import(lake, file, bookings_mapping())
    before = sessions_of(lake)
    again = run_import(lake, file, bookings_mapping())
    assert (again.loaded_count, again.duplicate_count) == (0, 3)
    assert sessions_of(lake) == before


def test_a_bad_record_is_quarantined_and_holds_back_no_good_one(lake: LakeWriter, tmp_path: Path) -> None:
    text = (
        BOOKINGS
        + "010,ben,p1,maths,2026-01-12 10:00,,11\n011,ben,p1,maths,soon,,\n,ben,p1,maths,2026-01-12 10:00,,\n"
    )
    report = run_import(lake, write_text(tmp_path, text), bookings_mapping())
    assert (report.read_count, report.loaded_count, report.quarantined_count) == (6, 3, 3)
    refused = {group.field: group for group in report.refusals}
    assert set(refused) == {"student_rating", "updated_at", "session_id"}
    assert refused["student_rating"].examples[0].record_id == "010"
    assert refused["student_rating"].examples[0].value == '"11"'
    batches = lake.read(
        "select sum(read_count) as n from lake.raw_quality.ingestion_batches where source = 'import.bookings'"
    )
    assert batches["n"][0] == 6


def test_refusals_are_grouped_with_at_most_three_examples(lake: LakeWriter, tmp_path: Path) -> None:
    text = BOOKINGS + "".join(f"b{i},ben,p1,maths,2026-01-12 10:00,,9\n" for i in range(5))
    report = run_import(lake, write_text(tmp_path, text), bookings_mapping())
    (group,) = report.refusals
    assert (group.count, len(group.examples)) == (5, 3)
    assert "5  student_rating: Input should be less than or equal to 5" in report.render()


def test_refusals_are_told_again_when_a_file_is_imported_again(lake: LakeWriter, tmp_path: Path) -> None:
    file = write_text(tmp_path, BOOKINGS + "010,ben,p1,maths,2026-01-12 10:00,,11\n")
    first, second = (run_import(lake, file, bookings_mapping()) for _ in range(2))
    assert first.refusals == second.refusals
    assert lake.read("select count(*) as n from lake.raw_quality.quarantined_records")["n"][0] == 1


def test_a_refused_personal_value_is_not_shown(lake: LakeWriter, tmp_path: Path) -> None:
    text = BOOKINGS + "010,ben,p1,maths,2026-01-12 10:00,," + "x" * 20_001 + "\n"
    mapping = bookings_mapping(
        fields={"student_comment": "case when len(stars) > 5 then stars end", "student_rating": "null"}
    )
    report = run_import(lake, write_text(tmp_path, text), mapping)
    assert report.refusals[0].examples[0].value is None
    assert "xxxx" not in report.render()


def test_the_report_tells_gaps_span_and_notes(lake: LakeWriter, tmp_path: Path) -> None:
    report = run_import(lake, write_text(tmp_path, BOOKINGS), bookings_mapping(notes=["Nobody rates twice."]))
    assert "tutor_rating" in report.empty_fields
    assert "student_rating" not in report.empty_fields
    assert (report.first_event_at, report.last_event_at) == (
        datetime(2026, 1, 10, 20),
        datetime(2026, 1, 11, 20),
    )
    for words in (
        "loaded                            3",
        "Fields that stayed empty:",
        "- Nobody rates twice.",
        "2026-01-10 20:00",
    ):
        assert words in report.render()


def test_a_time_that_occurs_twice_is_the_earlier_one_and_counted(lake: LakeWriter, tmp_path: Path) -> None:
    mapping = bookings_mapping(fields={"updated_at": "timestamp '2026-01-01'"})
    report = run_import(lake, write_text(tmp_path, one_booking("2025-11-02 01:30")), mapping)
    assert starts(lake) == {"a": datetime(2025, 11, 2, 5, 30)}
    assert (report.repeated_times.count, report.skipped_times.count) == (1, 0)
    assert "1 times occur twice in America/New_York" in report.render()


def test_a_time_that_never_occurs_is_shifted_and_counted(lake: LakeWriter, tmp_path: Path) -> None:
    mapping = bookings_mapping(fields={"updated_at": "timestamp '2026-01-01'"})
    report = run_import(lake, write_text(tmp_path, one_booking("2025-03-09 02:30:00.25")), mapping)
    assert starts(lake) == {"a": datetime(2025, 3, 9, 7, 30, 0, 250_000)}
    assert (report.repeated_times.count, report.skipped_times.count) == (0, 1)


def test_a_zone_with_half_hour_clock_changes_is_read_right(lake: LakeWriter, tmp_path: Path) -> None:
    mapping = bookings_mapping(
        time_zone="Australia/Lord_Howe", fields={"updated_at": "timestamp '2026-01-01'"}
    )
    run_import(lake, write_text(tmp_path, one_booking("2025-04-06 01:45")), mapping)
    assert starts(lake) == {"a": datetime(2025, 4, 5, 14, 45)}


@pytest.mark.parametrize(
    "text", ["2026-01-10T15:00:00-05:00", "2026-01-10T20:00:00Z", "2026-01-10 20:00:00.000+00"]
)
def test_a_time_with_an_offset_keeps_it(lake: LakeWriter, tmp_path: Path, text: str) -> None:
    run_import(lake, write_text(tmp_path, one_booking(text)), bookings_mapping())
    assert starts(lake) == {"a": datetime(2026, 1, 10, 20)}


@pytest.mark.parametrize("text", ["1768075200", "10/01/2026 15:00", "2026-13-40 10:00", "tomorrow"])
def test_a_text_that_is_no_iso_time_is_refused_and_never_guessed(
    lake: LakeWriter, tmp_path: Path, text: str
) -> None:
    mapping = bookings_mapping(fields={"updated_at": "timestamp '2026-01-01'"})
    report = run_import(lake, write_text(tmp_path, one_booking(text)), mapping)
    assert (report.loaded_count, report.quarantined_count) == (0, 1)
    assert report.refusals[0].field == "scheduled_start_at"


def test_local_times_can_be_moved_by_real_minutes_across_a_clock_change(
    lake: LakeWriter, tmp_path: Path
) -> None:
    mapping = bookings_mapping(
        local_times={"planned": "begins::timestamp"},
        fields={
            "scheduled_start_at": "planned",
            "tutor_joined_at": "planned + to_minutes(120)",
            "updated_at": "planned",
        },
    )
    run_import(lake, write_text(tmp_path, one_booking("2025-03-09 01:30")), mapping)
    row = sessions_of(lake)[0]
    assert (row["tutor_joined_at"] - row["scheduled_start_at"]).total_seconds() == 7200


NOW = "2026-01-10T15:00:00Z"
EVENTS = """ticket,step,moment,state,who,phone
t1,2,2026-01-02 10:00,open,,x
t1,1,2026-01-02 09:00,new,anna,x
t1,3,2026-01-02 11:00,done,ben,x
t2,1,2026-01-03 09:00,new,,
"""


def events_mapping(**changes: Any) -> Mapping:
    return bookings_mapping(
        group_by=["ticket"],
        order_by=["ticket", "step::int"],
        fields={
            "session_id": "ticket",
            "tutor_id": "arg_max(who, event_order)",
            "customer_id": "null",
            "subject_id": "arg_min(state, event_order)",
            "scheduled_start_at": "min(moment)",
            "tutor_joined_at": "null",
            "student_rating": "null",
            "updated_at": "max(moment)",
        },
        constants={"reports_attendance": False},
        **changes,
    )


def test_an_event_log_is_folded_into_one_record_per_thing(lake: LakeWriter, tmp_path: Path) -> None:
    report = run_import(lake, write_text(tmp_path, EVENTS), events_mapping())
    rows = {row["session_id"]: row for row in sessions_of(lake)}
    assert (report.file_row_count, report.read_count) == (4, 2)
    assert (rows["t1"]["tutor_id"], rows["t1"]["subject_id"]) == ("ben", "new"), (
        "last known value, first state"
    )
    assert rows["t1"]["updated_at"] == datetime(2026, 1, 2, 16)
    assert rows["t2"]["tutor_id"] is None


def test_only_the_wanted_rows_are_read(lake: LakeWriter, tmp_path: Path) -> None:
    report = run_import(lake, write_text(tmp_path, EVENTS), events_mapping(where="phone = 'x'"))
    assert [row["session_id"] for row in sessions_of(lake)] == ["t1"]
    assert report.read_count == 1


def test_defaults_fill_only_what_is_empty(lake: LakeWriter, tmp_path: Path) -> None:
    mapping = bookings_mapping(
        fields={"reschedule_count": "case when came is null then 1 end"}, defaults={"reschedule_count": 0}
    )
    run_import(lake, write_text(tmp_path, BOOKINGS), mapping)
    assert [row["reschedule_count"] for row in sessions_of(lake)] == [0, 1, 0]


def test_progress_is_told_and_the_size_of_chunks_changes_nothing(lake: LakeWriter, tmp_path: Path) -> None:
    file = write_text(tmp_path, BOOKINGS)
    told: list[tuple[int, int]] = []
    report = run_import(
        lake, file, bookings_mapping(), chunk_rows=2, progress=lambda done, total: told.append((done, total))
    )
    hashes = [row["version_hash"] for row in sessions_of(lake)]
    assert told == [(0, 3), (2, 3), (3, 3)]
    assert len(report.batch_ids) == 2
    empty(lake)
    run_import(lake, file, bookings_mapping())
    assert [row["version_hash"] for row in sessions_of(lake)] == hashes


@pytest.mark.parametrize("name", ["bookings.csv.gz", "bookings.zip", "bookings.txt"])
def test_packed_files_are_read_like_plain_ones(lake: LakeWriter, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress(BOOKINGS.encode()))
    elif name.endswith(".zip"):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("bookings.csv", BOOKINGS)
    else:
        file.write_text(BOOKINGS)
    assert run_import(lake, file, bookings_mapping()).loaded_count == 3


def test_other_encodings_delimiters_quotes_and_marks_are_read_when_told(
    lake: LakeWriter, tmp_path: Path
) -> None:
    header = "Booking ID;coach;pupil;topic;begins;came;stars"
    text = header + '\r\nä1;"José; ""Pepe""";p1;"two\r\nlines";2026-01-10 15:00;-;-\r\n'
    mapping = bookings_mapping(
        read={"delimiter": ";", "encoding": "cp1252", "null_values": ["-"]},
        fields={"session_id": '"Booking ID"'},
    )
    run_import(lake, write_text(tmp_path, text, encoding="cp1252"), mapping)
    row = sessions_of(lake)[0]
    assert (row["session_id"], row["tutor_id"], row["subject_id"]) == ("ä1", 'José; "Pepe"', "two\r\nlines")
    assert (row["tutor_joined_at"], row["student_rating"]) == (None, None)
    marked = write_text(tmp_path, "\ufeff" + BOOKINGS, name="marked.csv")
    assert run_import(lake, marked, bookings_mapping()).loaded_count == 3


def test_lines_around_the_table_are_passed_over_when_told(lake: LakeWriter, tmp_path: Path) -> None:
    text = f"Export of the office\n\n{BOOKINGS}\nTotal: 3 bookings\n\n"
    mapping = bookings_mapping(read={"skip_first": 2, "skip_last": 1}, fields={"student_rating": "came"})
    report = run_import(lake, write_text(tmp_path, text), mapping)
    assert (report.loaded_count, report.quarantined_count) == (1, 2)
    assert [example.line for example in report.refusals[0].examples] == [4, 6]


KINDS_IN_SMALL: dict[Kind, dict[str, str]] = {
    "sessions": {
        "session_id": "s1",
        "status": "finished",
        "scheduled_start_at": NOW,
        "reports_attendance": "false",
        "reports_customer_attendance": "false",
        "join_kind": "meeting",
    },
    "customers": {"customer_id": "c1", "goals": '[{"goal_id": "g1"}]', "full_name": "Ana"},
    "tutors": {"tutor_id": "t1", "subjects": '["maths"]', "time_zone": "Europe/Paris"},
    "inbound_calls": {"call_id": "a1", "called_at": NOW},
    "reschedules": {
        "reschedule_id": "r1",
        "session_id": "s1",
        "original_start_at": NOW,
        "rescheduled_at": NOW,
        "rescheduled_by": "student",
    },
    "engagement_events": {
        "event_id": "e1",
        "actor_type": "tutor",
        "actor_id": "t1",
        "event_type": "opened",
        "occurred_at": NOW,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_comes_in_from_a_file(lake: LakeWriter, tmp_path: Path, kind: Kind) -> None:
    row = KINDS_IN_SMALL[kind] | {"updated_at": NOW}
    mapping = Mapping(
        name="small", kind=kind, describes="One of each.", fields={name: f'"{name}"' for name in row}
    )
    file = tmp_path / "small.csv"
    pl.DataFrame([row]).write_csv(file)
    report = run_import(lake, file, mapping)
    assert (report.loaded_count, report.quarantined_count) == (1, 0)
    assert lake.read(f"select source from lake.raw_marketplace.{kind}")["source"].to_list() == [
        "import.small"
    ]


API_SESSION: dict[str, Any] = {
    "session_id": "ses_1",
    "tutor_id": "tut_1",
    "student_id": "cus_1",
    "subjects_covered": ["maths", "physics"],
    "status": "finished",
    "session_start_time": "2026-01-10T15:00:00.000Z",
    "session_end_time": "2026-01-10T16:00:00.000Z",
    "tutor_join_time": "2026-01-10T15:02:11.250Z",
    "tutor_leave_time": None,
    "student_join_time": "2026-01-10T15:00:00.000Z",
    "student_leave_time": None,
    "is_first_session": True,
    "was_rescheduled": True,
    "reschedule_count": 2,
    "rescheduled_by": "tutor",
    "student_feedback": {"rating": 4, "description": "Fine."},
    "tutor_feedback": None,
    "student_booked_followup": False,
    "booked_at": "2026-01-01T15:00:00.000Z",
    "updated_at": "2026-01-10T17:00:00.000Z",
    "video_url": None,
    "transcript_url": None,
    "ai_summary": None,
}


def dump_row(*, native: bool, aware: bool = True) -> dict[str, Any]:
    row = {key: value for key, value in API_SESSION.items() if not key.endswith("_feedback")}
    row |= {"student_feedback_rating": 4, "student_feedback_description": "Fine."}
    row |= {"tutor_feedback_rating": None, "tutor_feedback_description": None}
    row["subjects_covered"] = json.dumps(API_SESSION["subjects_covered"])
    if native:
        for name in [name for name in row if name.endswith(("_time", "_at")) and row[name]]:
            instant = datetime.fromisoformat(row[name])
            row[name] = instant if aware else instant.astimezone(UTC).replace(tzinfo=None)
    return row


@pytest.mark.parametrize(
    "row",
    [dump_row(native=False), dump_row(native=True), dump_row(native=True, aware=False)],
    ids=["text", "utc", "naive"],
)
def test_a_session_from_the_dump_is_the_version_that_the_api_gives(
    lake: LakeWriter, tmp_path: Path, row: dict[str, Any]
) -> None:
    mapping = load_mapping(MAPPINGS / "marketplace_sessions.yml")
    run_import(lake, write_parquet(tmp_path, [row]), mapping)
    (expected,) = judge("sessions", [API_SESSION]).rows
    stored = sessions_of(lake)[0]
    assert stored["version_hash"] == expected["version_hash"]
    assert stored["source"] == "import.marketplace"
    assert lake.read("select student_comment from pii.sessions")["student_comment"].to_list() == ["Fine."]


def test_lists_come_in_as_json_text_or_as_lists(lake: LakeWriter, tmp_path: Path) -> None:
    row = {
        "tutor_id": "tut_1",
        "hired_at": "2025-01-01T00:00:00Z",
        "time_zone": "America/Chicago",
        "active": True,
        "subjects": ["maths"],
        "availability": '[{"weekday": 0, "start": "09:00", "end": "12:00"}]',
        "leave": None,
        "name": "Anna",
        "email": None,
        "updated_at": "2026-01-01T00:00:00Z",
    }
    broken = row | {"tutor_id": "tut_2", "availability": "mondays"}
    report = run_import(
        lake, write_parquet(tmp_path, [row, broken]), load_mapping(MAPPINGS / "marketplace_tutors.yml")
    )
    stored = lake.read("select * from lake.raw_marketplace.tutors").to_dicts()
    assert [(tutor["tutor_id"], tutor["subjects"], tutor["leaves"]) for tutor in stored] == [
        ("tut_1", ["maths"], [])
    ]
    assert stored[0]["availability"] == [{"weekday": 0, "start_time": "09:00", "end_time": "12:00"}]
    assert [group.field for group in report.refusals] == ["availability"]


def test_optional_columns_may_be_absent_and_are_told(lake: LakeWriter, tmp_path: Path) -> None:
    row = {
        key: value
        for key, value in dump_row(native=False).items()
        if key not in ("video_url", "reschedule_count")
    }
    report = run_import(
        lake, write_parquet(tmp_path, [row]), load_mapping(MAPPINGS / "marketplace_sessions.yml")
    )
    assert report.lacking_columns == ("reschedule_count", "video_url")
    assert sessions_of(lake)[0]["reschedule_count"] == 1, "was_rescheduled stands in, as it does in the API"
    assert stored_rows(lake) == 3  # the session, its comment, the batch
