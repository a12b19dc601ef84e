"""One row may become many records, and may find what it lacks in a second file."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from import_builders import (
    BOOKINGS,
    a_fresh_lake,
    bookings_mapping,
    empty,
    rehearse,
    run_import,
    sessions_of,
    write_parquet,
    write_text,
)

from assets.ingest.mapping import Mapping, MappingError
from assets.ingest.unpacking import UnreadableFile
from data.lake.writer import LakeWriter

COUNTS = "at,calls\n2026-01-05 07:00,2\n2026-01-05 07:05,0\n2026-01-05 07:10,1\n"
STAFF = "Name,id\nanna,t1\nben,t2\n"


@pytest.fixture(scope="module")
def shared_lake() -> Iterator[LakeWriter]:
    with a_fresh_lake() as lake:
        yield lake


@pytest.fixture
def lake(shared_lake: LakeWriter) -> LakeWriter:
    empty(shared_lake)
    return shared_lake


def calls_mapping(**changes: Any) -> Mapping:
    content: dict[str, Any] = {
        "name": "counts",
        "kind": "inbound_calls",
        "describes": "Calls, counted.",
        "time_zone": "America/New_York",
        "repeat": "calls",
        "fields": {
            "call_id": "\"at\" || '/' || repeat_number",
            "called_at": '"at"::timestamp',
            "updated_at": '"at"',
        },
    }
    return Mapping.model_validate(content | changes)


def staff_mapping(**lookup: Any) -> Mapping:
    settings = {"file": "staff.csv", "key": {"Name": "coach"}} | lookup
    return bookings_mapping(lookups={"staff": settings}, fields={"tutor_id": "staff.id"})


def test_a_row_becomes_as_many_records_as_it_counts(lake: LakeWriter, tmp_path: Path) -> None:
    report = run_import(lake, write_text(tmp_path, COUNTS), calls_mapping())
    calls = lake.read(
        "select call_id, customer_id, called_at from lake.raw_marketplace.inbound_calls order by 1"
    )
    assert (report.file_row_count, report.read_count, report.loaded_count) == (3, 3, 3)
    assert calls["call_id"].to_list() == ["2026-01-05 07:00/1", "2026-01-05 07:00/2", "2026-01-05 07:10/1"]
    assert calls["called_at"].to_list() == [datetime(2026, 1, 5, 12)] * 2 + [datetime(2026, 1, 5, 12, 10)]
    assert calls["customer_id"].null_count() == 3


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        ("-3", "'-3'"),
        ("10001", "'10001'"),
        ("2.5", "'2.5'"),
        ("many", "'many'"),
        ("", "nothing"),
        ("1e99", "'1e99'"),
    ],
)
def test_a_count_that_cannot_be_is_an_error_of_its_line(tmp_path: Path, count: str, shown: str) -> None:
    file = write_text(tmp_path, COUNTS + f"2026-01-05 07:15,{count}\n")
    with pytest.raises(UnreadableFile) as caught:
        rehearse(file, calls_mapping())
    assert f"bookings.csv, line 5: repeat gives {shown}; a row stands for 0 to 10,000 records" in str(
        caught.value
    )


def test_a_count_of_a_row_that_is_not_wanted_is_not_looked_at(tmp_path: Path) -> None:
    file = write_text(tmp_path, COUNTS + "Total,-1\n")
    assert rehearse(file, calls_mapping(where="\"at\" <> 'Total'")).read_count == 3


def test_a_file_whose_counts_are_all_zero_gives_nothing(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="repeat: keeps none of the 1 rows"):
        rehearse(write_text(tmp_path, "at,calls\n2026-01-05 07:00,0\n"), calls_mapping())


def test_folding_and_repeating_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="repeat: does not go with group_by"):
        calls_mapping(group_by=["calls"], order_by=["calls"])


def test_a_row_finds_what_it_lacks_in_a_second_file(lake: LakeWriter, tmp_path: Path) -> None:
    write_text(tmp_path, STAFF, "staff.csv")
    report = run_import(lake, write_text(tmp_path, BOOKINGS), staff_mapping())
    assert [row["tutor_id"] for row in sessions_of(lake)] == ["t1", "t2", "t1"]
    assert report.unmatched == ()


def test_what_finds_nothing_stays_empty_and_is_counted(lake: LakeWriter, tmp_path: Path) -> None:
    write_text(tmp_path, STAFF.replace("ben", "Ben"), "staff.csv")
    report = run_import(lake, write_text(tmp_path, BOOKINGS), staff_mapping())
    assert sessions_of(lake)[1]["tutor_id"] is None
    assert "1 found nothing in the lookup staff, first at line 3" in report.render()


def test_lookups_join_by_several_columns_and_by_what_an_earlier_one_found(tmp_path: Path) -> None:
    write_text(tmp_path, STAFF, "staff.csv")
    write_parquet(tmp_path, [{"tutor": "t1", "topic": "maths", "level": 3}], "levels.parquet")
    mapping = bookings_mapping(
        lookups={
            "staff": {"file": "staff.csv", "key": {"Name": "lower(coach)"}},
            "levels": {"file": "levels.parquet", "key": {"tutor": "staff.id", "topic": "topic"}},
        },
        fields={"subject_id": "topic || '-' || levels.level"},
    )
    report = rehearse(write_text(tmp_path, BOOKINGS), mapping, show=3)
    assert [record.values.get("subject_id") for record in report.shown] == ["maths-3", None, "maths-3"]


def test_a_number_finds_the_text_that_shows_it(tmp_path: Path) -> None:
    write_text(tmp_path, "room,name\n7,blue\n", "rooms.csv")
    file = write_parquet(tmp_path, [{"id": "s1", "room": 7, "start": "2026-01-01T10:00:00Z"}])
    fields = {"session_id": "id", "subject_id": "rooms.name"} | dict.fromkeys(
        ("scheduled_start_at", "updated_at"), "start"
    )
    mapping = bookings_mapping(
        lookups={"rooms": {"file": "rooms.csv", "key": {"room": "room"}}},
    ).model_copy(update={"fields": fields})
    assert rehearse(file, mapping, show=1).shown[0].values["subject_id"] == "blue"


@pytest.mark.parametrize(
    ("staff", "mapping", "message"),
    [
        (None, staff_mapping(), r"lookups.staff.file: .*staff.csv is not there; put staff.csv beside bookings.csv"),
        (
            STAFF + "anna,t9\n",
            staff_mapping(),
            "lookups.staff.key: staff.csv has 2 rows for Name = anna; a lookup needs one row for each key",
        ),
        (STAFF, staff_mapping(key={"Nmae": "coach"}), "lookups.staff.key: staff.csv has no column Nmae; it has Name"),
        (STAFF, staff_mapping(key={"Name": "coahc"}), "lookups.staff.key: the file has no column coahc; did you mean"),
        (STAFF.replace("id", "number"), staff_mapping(), "fields.tutor_id: the lookup has no column id; it has"),
    ],
)  # fmt: skip
def test_a_lookup_that_cannot_be_used_names_the_file_and_the_fix(
    tmp_path: Path, staff: str | None, mapping: Mapping, message: str
) -> None:
    if staff is not None:
        write_text(tmp_path, staff, "staff.csv")
    with pytest.raises(MappingError, match=message):
        rehearse(write_text(tmp_path, BOOKINGS), mapping)


def test_a_lookup_lies_beside_the_file_and_nowhere_else() -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        staff_mapping(file="../staff.csv")


def test_a_lookup_may_not_be_named_like_a_column(tmp_path: Path) -> None:
    write_text(tmp_path, STAFF, "staff.csv")
    mapping = bookings_mapping(lookups={"coach": {"file": "staff.csv", "key": {"Name": "coach"}}})
    with pytest.raises(MappingError, match=r"lookups\.coach: the file has a column of that name"):
        rehearse(write_text(tmp_path, BOOKINGS), mapping)
