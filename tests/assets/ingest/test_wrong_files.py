"""A wrong file or a wrong mapping gives one clear error, and nothing is stored."""

import dataclasses
import gzip
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from import_builders import (
    BOOKINGS,
    LIMITS,
    a_fresh_lake,
    bookings_mapping,
    rehearse,
    run_import,
    stored_rows,
    write_parquet,
    write_text,
)

from assets.ingest.mapping import Mapping, MappingError
from assets.ingest.unpacking import Limits, UnreadableFile
from data.lake.writer import LakeWriter


@pytest.fixture(scope="module")
def lake() -> Iterator[LakeWriter]:
    with a_fresh_lake() as lake:
        yield lake


def refused(lake: LakeWriter, file: Path, mapping: Mapping, *, error: type[Exception], **options: Any) -> str:
    with pytest.raises(error) as caught:
        run_import(lake, file, mapping, **options)
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
        (BOOKINGS + '010,"ben,p,t,2026-01-01,,\n', "line 5: the file ends inside quotes"),
        (
            BOOKINGS + f"010,{'x' * 200_000},p,t,2026-01-01,,\n",
            "line 5: a value is longer than 131,072 characters",
        ),
        (BOOKINGS + "x" * 1_000_001, "line 5: is longer than 1,000,000 characters"),
        (
            BOOKINGS + "Total,3\n",
            "line 5: has 2 values where the header has 7; mend the line or check read.delimiter",
        ),
        ("Export\n" + BOOKINGS, "line 2: has 7 values where the header has 1"),
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


MANY_ROWS = BOOKINGS + "010,ben,p1,maths,2026-01-12 10:00,,\n" * 100_000


def small(**changes: Any) -> Limits:
    return dataclasses.replace(LIMITS, **changes)


@pytest.mark.parametrize("name", ["bookings.csv", "bookings.csv.gz", "bookings.zip"])
def test_a_file_that_holds_more_than_is_taken_is_stopped_while_it_unpacks(
    lake: LakeWriter, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress(MANY_ROWS.encode()))
    elif name.endswith(".zip"):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bookings.csv", MANY_ROWS)
    else:
        file.write_text(MANY_ROWS)
    told = refused(lake, file, bookings_mapping(), error=UnreadableFile, limits=small(max_bytes=1_000_000))
    assert (
        "holds more than 1,000,000 bytes once it is unpacked; split it, or raise CHALKLINE_IMPORT_MAX" in told
    )


def test_a_zip_that_lies_about_its_size_is_stopped_too(lake: LakeWriter, tmp_path: Path) -> None:
    file = tmp_path / "bookings.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bookings.csv", MANY_ROWS)
    size = len(MANY_ROWS).to_bytes(4, "little")
    file.write_bytes(file.read_bytes().replace(size, (100).to_bytes(4, "little")))
    refused(lake, file, bookings_mapping(), error=UnreadableFile, limits=small(max_bytes=1_000_000))


def test_a_parquet_file_that_holds_more_than_is_taken(lake: LakeWriter, tmp_path: Path) -> None:
    file = write_parquet(tmp_path, [{"text": str(number) * 50} for number in range(5_000)])
    told = refused(lake, file, bookings_mapping(), error=UnreadableFile, limits=small(max_bytes=10_000))
    assert "holds more than 10,000 bytes once it is unpacked" in told


def test_a_file_that_does_not_fit_into_memory_names_the_limit(lake: LakeWriter, tmp_path: Path) -> None:
    file = write_text(tmp_path, MANY_ROWS)
    # Where nothing can be spilled, memory is all there is.
    tight = small(memory_limit="5MB", spill_folder=Path("/dev/null/nowhere"))
    told = refused(lake, file, bookings_mapping(), error=ValueError, limits=tight)
    assert "does not fit into 5MB" in told
    assert "split the file, or raise CHALKLINE_IMPORT_MEMORY_LIMIT" in told


@pytest.mark.parametrize("name", ["wide.csv", "wide.parquet"])
def test_a_file_with_more_columns_than_are_taken(lake: LakeWriter, tmp_path: Path, name: str) -> None:
    columns = {f"c{number}": "x" for number in range(11)}
    if name.endswith(".csv"):
        file = write_text(tmp_path, ",".join(columns) + "\n" + ",".join(columns.values()) + "\n", name)
    else:
        file = write_parquet(tmp_path, [columns], name)
    told = refused(lake, file, bookings_mapping(), error=UnreadableFile, limits=small(max_columns=10))
    assert "has 11 columns and 10 are taken; leave out what no field needs" in told


def test_a_packed_file_of_which_half_arrived(lake: LakeWriter, tmp_path: Path) -> None:
    packed = tmp_path / "whole.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bookings.csv", MANY_ROWS)
    for name, whole in (
        ("half.zip", packed.read_bytes()),
        ("half.csv.gz", gzip.compress(MANY_ROWS.encode())),
        ("bad.csv.gz", gzip.compress(MANY_ROWS.encode())[:40] + b"\xff" * 4_000),
    ):
        half = tmp_path / name
        half.write_bytes(whole[: len(whole) // 2] if name.startswith("half") else whole)
        assert "cannot be unpacked" in refused(lake, half, bookings_mapping(), error=UnreadableFile)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + b"\x00" * 100, "is no CSV but a zip or an Excel workbook; save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0" + b"\x00" * 100, "is no CSV but an old Excel workbook"),
        (b"%PDF-1.7 \xff\xfe", "is no CSV but a PDF"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "is no CSV but packed with gzip; let the name end in .gz"),
        (BOOKINGS.encode("utf-16"), "is not utf-8 but UTF-16; set read.encoding to utf-16"),
        (b"a,b\x00c\n", "is no text: it holds zero bytes"),
    ],
)
def test_a_file_that_is_no_text_is_called_what_it_is(
    lake: LakeWriter, tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "bookings.csv"
    file.write_bytes(content)
    assert message in refused(lake, file, bookings_mapping(), error=UnreadableFile)


def test_a_zip_of_a_mac_holds_one_file_and_its_shadow(tmp_path: Path) -> None:
    file = tmp_path / "bookings.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("bookings.csv", BOOKINGS)
        archive.writestr("__MACOSX/._bookings.csv", "shadow")
    assert rehearse(file, bookings_mapping()).read_count == 3


def test_a_zip_with_two_files_or_a_password_is_refused(lake: LakeWriter, tmp_path: Path) -> None:
    file = tmp_path / "bookings.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", BOOKINGS)
        archive.writestr("b.csv", BOOKINGS)
    assert "holds 2 files; a zip must hold exactly one CSV" in refused(
        lake, file, bookings_mapping(), error=UnreadableFile
    )
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", BOOKINGS)
    # Bit 0 of the flags, in the header of the file and in the directory of the archive.
    locked = file.read_bytes().replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01")
    file.write_bytes(locked.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"))
    assert "is locked with a password; unpack it first" in refused(
        lake, file, bookings_mapping(), error=UnreadableFile
    )


def test_a_folder_is_no_file(lake: LakeWriter, tmp_path: Path) -> None:
    assert "is a folder; name the file in it" in refused(
        lake, tmp_path, bookings_mapping(), error=UnreadableFile
    )


def test_a_column_that_vanished_from_the_next_export_is_named(lake: LakeWriter, tmp_path: Path) -> None:
    without_topic = "\n".join(
        ",".join(cell for number, cell in enumerate(line.split(",")) if number != 3)
        for line in BOOKINGS.splitlines()
    )
    told = refused(lake, write_text(tmp_path, without_topic), bookings_mapping(), error=MappingError)
    assert "fields.subject_id: the file has no column topic; it has booking, coach, pupil" in told


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
        (
            {"fields": {"student_rating": "max(stars)"}},
            "group_by: is missing; some expression folds several rows",
        ),
        ({"fields": {"student_rating": "(stars || ',5')::double"}}, "(a decimal comma: replace(x, ',', '.')"),
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
