"""A stopped import goes on where it ended, another import does not, and what is told is of the whole file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from import_builders import (
    BOOKINGS,
    a_fresh_lake,
    bookings_mapping,
    empty,
    run_import,
    sessions_of,
    write_text,
)

from assets.ingest.mapping import Mapping
from assets.ingest.report import ImportReport
from data.contracts import Correction
from data.lake.writer import LakeWriter

SIX = BOOKINGS + "".join(
    f"01{number},ben,p1,maths,2026-01-1{number + 2} 10:00,,{stars}\n"
    for number, stars in enumerate(("9", "3", "4"))
)
"""Six bookings in the order of their time; the fourth has a rating that cannot be."""


@pytest.fixture(scope="module")
def shared_lake() -> Iterator[LakeWriter]:
    with a_fresh_lake() as lake:
        yield lake


@pytest.fixture
def lake(shared_lake: LakeWriter) -> LakeWriter:
    empty(shared_lake)
    return shared_lake


def stopping_after(most: int) -> Callable[[int, int], None]:
    def progress(done: int, _total: int) -> None:
        if done >= most:
            raise KeyboardInterrupt

    return progress


def stop_after(lake: LakeWriter, file: Path, mapping: Mapping, most: int, **options: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_import(lake, file, mapping, chunk_rows=1, progress=stopping_after(most), **options)


def counts(report: ImportReport) -> tuple[int, ...]:
    return report.read_count, report.loaded_count, report.duplicate_count, report.quarantined_count


def batches(lake: LakeWriter) -> int:
    return lake.read("select count(*) as n from lake.raw_quality.ingestion_batches")["n"][0]


def test_a_stopped_import_goes_on_behind_its_last_finished_chunk(lake: LakeWriter, tmp_path: Path) -> None:
    file, told = write_text(tmp_path, BOOKINGS), []
    stop_after(lake, file, bookings_mapping(), 2)
    report = run_import(lake, file, bookings_mapping(), chunk_rows=1, progress=lambda *now: told.append(now))
    assert told == [(2, 3), (3, 3)]
    assert batches(lake) == 3, "what is in is not read again"
    assert (counts(report), report.resumed_at) == ((3, 3, 0, 0), 2)
    assert "in before it stopped              2" in report.render()
    assert len(sessions_of(lake)) == 3


def test_the_report_of_a_resumed_import_is_that_of_an_undisturbed_one(
    lake: LakeWriter, tmp_path: Path
) -> None:
    file = write_text(tmp_path, SIX)
    undisturbed = run_import(lake, file, bookings_mapping(), chunk_rows=1)
    empty(lake)
    stop_after(lake, file, bookings_mapping(), 5)
    written: list[int] = []
    report = run_import(
        lake, file, bookings_mapping(), chunk_rows=1, refused=lambda one: written.append(one.line)
    )
    assert counts(report) == counts(undisturbed) == (6, 5, 0, 1)
    assert report.refusals == undisturbed.refusals
    assert written == [5], "the refusal came before the stop and is written down all the same"
    assert len(set(report.batch_ids)) == 6


def test_an_import_from_the_start_reads_everything_again(lake: LakeWriter, tmp_path: Path) -> None:
    file = write_text(tmp_path, BOOKINGS)
    stop_after(lake, file, bookings_mapping(), 2)
    report = run_import(lake, file, bookings_mapping(), chunk_rows=1, from_start=True)
    assert (counts(report), report.resumed_at) == ((3, 1, 2, 0), 0)


def test_a_complete_import_that_runs_again_looks_again_and_adds_nothing(
    lake: LakeWriter, tmp_path: Path
) -> None:
    file = write_text(tmp_path, BOOKINGS)
    run_import(lake, file, bookings_mapping(), chunk_rows=1)
    again = run_import(lake, file, bookings_mapping(), chunk_rows=1)
    assert (counts(again), again.resumed_at) == ((3, 0, 3, 0), 0)
    lake.connection.execute("delete from lake.raw_marketplace.sessions where session_id = '008'")
    assert counts(run_import(lake, file, bookings_mapping(), chunk_rows=1)) == (3, 1, 2, 0)


def test_a_second_round_that_is_stopped_goes_on_too(lake: LakeWriter, tmp_path: Path) -> None:
    file = write_text(tmp_path, BOOKINGS)
    run_import(lake, file, bookings_mapping(), chunk_rows=1)
    stop_after(lake, file, bookings_mapping(), 2)
    report = run_import(lake, file, bookings_mapping(), chunk_rows=1)
    assert (counts(report), report.resumed_at) == ((3, 0, 3, 0), 2)


def fix_stars(_source: str, _kind: str) -> tuple[Correction, ...]:
    return (Correction("replace", "student_rating", '"9"', "5"),)


@pytest.mark.parametrize(
    ("text", "mapping", "options"),
    [
        (SIX.replace("anna", "Anna"), bookings_mapping(), {}),
        (SIX, bookings_mapping(fields={"subject_id": "upper(topic)"}), {}),
        (SIX, bookings_mapping(), {"corrections": fix_stars}),
    ],
    ids=["another file", "another mapping", "another correction"],
)
def test_another_import_begins_at_its_own_start(
    lake: LakeWriter, tmp_path: Path, text: str, mapping: Mapping, options: dict[str, Any]
) -> None:
    stop_after(lake, write_text(tmp_path, SIX), bookings_mapping(), 4)
    report = run_import(lake, write_text(tmp_path, text), mapping, chunk_rows=1, **options)
    assert report.resumed_at == 0
    assert report.read_count == 6


def test_another_file_of_a_lookup_is_another_import(lake: LakeWriter, tmp_path: Path) -> None:
    mapping = bookings_mapping(
        lookups={"staff": {"file": "staff.csv", "key": {"name": "coach"}}}, fields={"tutor_id": "staff.id"}
    )
    file = write_text(tmp_path, BOOKINGS)
    write_text(tmp_path, "name,id\nanna,t1\nben,t2\n", "staff.csv")
    stop_after(lake, file, mapping, 2)
    write_text(tmp_path, "name,id\nanna,t1\nben,t3\n", "staff.csv")
    assert run_import(lake, file, mapping, chunk_rows=1).resumed_at == 0


def test_corrections_in_force_mend_the_records_of_a_file(lake: LakeWriter, tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def corrections(source: str, kind: str) -> tuple[Correction, ...]:
        asked.append((source, kind))
        return fix_stars(source, kind)

    report = run_import(lake, write_text(tmp_path, SIX), bookings_mapping(), corrections=corrections)
    assert counts(report) == (6, 6, 0, 0)
    assert asked == [("import.bookings", "sessions")]
    assert {row["student_rating"] for row in sessions_of(lake)} == {5.0, 3.0, 4.0, None}
