"""A wrong file or a wrong mapping gives one clear error, and nothing is stored."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from import_builders import (
    BOOKINGS,
    a_fresh_lake,
    bookings_mapping,
    run_import,
    stored_rows,
    write_parquet,
    write_text,
)

from assets.ingest.mapping import Mapping, MappingError
from assets.ingest.reading import UnreadableFile
from data.lake.writer import LakeWriter


@pytest.fixture(scope="module")
def lake() -> Iterator[LakeWriter]:
    with a_fresh_lake() as lake:
        yield lake


def refused(lake: LakeWriter, file: Path, mapping: Mapping, *, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        run_import(lake, file, mapping)
    assert stored_rows(lake) == 0, "nothing is stored"
    assert file.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty (0 bytes)"),
        (BOOKINGS.splitlines()[0] + "\n", "has a header but no rows"),
        ("\n" + BOOKINGS, "the first line is blank"),
        (BOOKINGS.replace(",", ";"), "seems to be separated by ';': set read.delimiter to \";\""),
        (BOOKINGS.replace(",", "\t"), 'seems to be separated by a tab: set read.delimiter to "\\t"'),
        (BOOKINGS + "010,ben\n", "line 5: has 2 values where the header has 7"),
        (BOOKINGS + '010,"ben" x,p,t,2026-01-01,,\n', "line 5: "),
        (BOOKINGS.replace("stars", "coach", 1), "the header names coach more than once"),
    ],
)
def test_a_csv_that_is_not_what_it_should_be(
    lake: LakeWriter, tmp_path: Path, text: str, message: str
) -> None:
    assert message in refused(lake, write_text(tmp_path, text), bookings_mapping(), error=UnreadableFile)


def test_a_csv_in_another_encoding(lake: LakeWriter, tmp_path: Path) -> None:
    file = write_text(tmp_path, BOOKINGS.replace("anna", "José"), encoding="latin-1")
    message = refused(lake, file, bookings_mapping(), error=UnreadableFile)
    assert "is not utf-8: byte 0xe9 cannot be read; set read.encoding" in message


@pytest.mark.parametrize(
    ("name", "message"),
    [("x.parquet", "cannot be read as Parquet"), ("x.zip", "cannot be unpacked"), ("x.csv.gz", "cannot be unpacked"),
     ("x.xlsx", "the ending does not tell the format; set read.format")],
)  # fmt: skip
def test_a_file_that_lies_about_its_format(lake: LakeWriter, tmp_path: Path, name: str, message: str) -> None:
    assert message in refused(
        lake, write_text(tmp_path, BOOKINGS, name), bookings_mapping(), error=UnreadableFile
    )


def test_a_file_that_is_not_there(lake: LakeWriter, tmp_path: Path) -> None:
    message = refused(lake, tmp_path / "none.csv", bookings_mapping(), error=UnreadableFile)
    assert "does not exist" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"fields": {"tutor_id": "coahc"}},
            "fields.tutor_id: the file has no column coahc; did you mean coach?",
        ),
        ({"fields": {"tutor_id": "coach || ("}}, "fields.tutor_id: is no expression"),
        (
            {"fields": {"tutor_id": "coach) from file; drop table file; select (1"}},
            "fields.tutor_id: must be one expr",
        ),
        ({"fields": {"tutor_id": "min(at)"}}, 'a column named like an SQL word needs "quotes"'),
        ({"fields": {"tutor_id": "upcase(coach)"}}, "fields.tutor_id: "),
        ({"fields": {"student_rating": "coach::int"}}, "fields.student_rating: Conversion Error"),
        (
            {"fields": {"scheduled_start_at": "stars::bigint"}},
            "a time is a TIMESTAMP or ISO text (epoch: to_timestamp",
        ),
        (
            {"fields": {"tutor_id": "booking::double"}},
            "fields.tutor_id: gives DOUBLE, so 7 would become '7.0'",
        ),
        (
            {"fields": {"tutor_id": "(select content from read_text('/etc/hostname'))"}},
            "fields.tutor_id: Permission",
        ),
        ({"where": "stars = 'many'"}, "where: keeps none of the 3 rows"),
        ({"where": "level = 3"}, "where: the file has no column level; it has booking, coach"),
        ({"group_by": ["lesson"], "order_by": ["begins"]}, "group_by: the file has no column lesson"),
        (
            {"local_times": {"coach": "begins::timestamp"}},
            "local_times.coach: the file has a column of that name",
        ),
        (
            {"local_times": {"t": "stars::int"}},
            "local_times.t: gives INTEGER; a wall clock time is a TIMESTAMP",
        ),
        ({"time_zone": None}, "fields.scheduled_start_at: 3 times such as '2026-01-1"),
        (
            {"fields": {"session_id": "coach", "updated_at": "'2026-01-20'"}},
            "fields.session_id: 1 ids stand on several",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_the_file(
    lake: LakeWriter, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    told = refused(lake, write_text(tmp_path, BOOKINGS), bookings_mapping(**changes), error=MappingError)
    assert message in told
    assert "mapping bookings on bookings.csv" in told


def test_all_fields_that_do_not_fit_are_told_at_once(lake: LakeWriter, tmp_path: Path) -> None:
    mapping = bookings_mapping(fields={"tutor_id": "coahc", "customer_id": "pupils"})
    told = refused(lake, write_text(tmp_path, BOOKINGS), mapping, error=MappingError)
    assert "fields.tutor_id" in told
    assert "fields.customer_id" in told


def test_a_native_time_without_a_zone_asks_for_one(lake: LakeWriter, tmp_path: Path) -> None:
    mapping = bookings_mapping(time_zone=None, fields={"scheduled_start_at": "begins::timestamp"})
    told = refused(lake, write_text(tmp_path, BOOKINGS), mapping, error=MappingError)
    assert "fields.scheduled_start_at: gives a time without a zone; set time_zone" in told


def test_a_wrong_mapping_does_not_fill_the_quarantine(lake: LakeWriter, tmp_path: Path) -> None:
    rows = [{"id": f"s{i}", "start": "2026-01-01T10:00:00Z"} for i in range(200)]
    fields = dict.fromkeys(("scheduled_start_at", "updated_at", "tutor_joined_at"), "start")
    mapping = bookings_mapping().model_copy(
        update={"fields": fields | {"session_id": "id", "student_rating": "'excellent'"}}
    )
    told = refused(lake, write_parquet(tmp_path, rows), mapping, error=MappingError)
    assert "all of the first 200 records were refused, most for fields.student_rating" in told


def test_ids_that_repeat_may_be_kept_when_the_mapping_says_so(tmp_path: Path) -> None:
    mapping = bookings_mapping(
        fields={"session_id": "coach", "updated_at": "'2026-01-20'"}, repeated_ids="keep"
    )
    with a_fresh_lake() as lake:
        assert run_import(lake, write_text(tmp_path, BOOKINGS), mapping).loaded_count == 3
