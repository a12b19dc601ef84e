"""chalkline import: what it prints, writes and sends, and how it ends."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from assets.ingest.files import CHUNK_ROWS
from assets.ingest.mapping import load_mapping
from assets.ingest.resuming import import_id
from data.clock import clock_from
from data.contracts import Correction
from data.lake.writer import LakeWriter
from data.operations import corrections
from data.operations.store import Operations
from data.settings import Settings
from orchestration import cli

ROWS = """id,who,at,why
a1,c1,2026-01-10T15:00:00Z,refund
a2,c2,soon,[red]late[/red]
a3,c1,2026-01-11T15:00:00Z,refund
"""
MAPPING = """
name: office
kind: inbound_calls
describes: Calls that the office wrote down.
fields:
  call_id: id
  customer_id: who
  called_at: '"at"'
  reason_code: why
  updated_at: '"at"'
"""


@pytest.fixture
def calls(deployed: Settings, lake: LakeWriter, tmp_path: Path) -> list[str]:
    """The words of a command that imports three calls, one of them without a time."""
    (tmp_path / "calls.csv").write_text(ROWS)
    (tmp_path / "office.yml").write_text(MAPPING)
    return ["import", str(tmp_path / "calls.csv"), "--mapping", str(tmp_path / "office.yml")]


def say(*words: str) -> Result:
    return CliRunner().invoke(cli.app, list(words), catch_exceptions=False)


def fail(capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, *words: str) -> str:
    patch.setattr(sys, "argv", ["chalkline", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    return capsys.readouterr().err


def stored(lake: LakeWriter) -> list[str]:
    return lake.read("select call_id from lake.raw_marketplace.inbound_calls order by 1")["call_id"].to_list()


def test_an_import_prints_its_report_and_keeps_it_without_values(
    calls: list[str], lake: LakeWriter, deployed: Settings
) -> None:
    result = say(*calls)
    assert result.exit_code == 0
    assert 'line 3, a2: "soon"' in result.output
    assert stored(lake) == ["a1", "a3"]
    kept = (deployed.state / "imports" / "office.txt").read_text()
    assert "updated_at: is not an ISO 8601 time" in kept
    assert "soon" not in kept


def test_a_dry_run_stores_nothing_and_shows_records(calls: list[str], lake: LakeWriter) -> None:
    result = say(*calls, "--dry-run", "--show", "3")
    assert result.exit_code == 0
    assert "nothing was stored" in result.output
    assert "[red]late[/red]" in result.output, "values are no markup"
    assert stored(lake) == []
    assert lake.read("select count(*) as n from lake.raw_quality.ingestion_batches")["n"][0] == 0


def test_a_dry_run_of_which_nothing_would_come_in_ends_with_an_error(
    calls: list[str], tmp_path: Path
) -> None:
    (tmp_path / "calls.csv").write_text(ROWS.replace("2026-01-1", "1/1"))
    assert say(*calls, "--dry-run").exit_code == 1


def test_refusals_are_written_where_they_are_wanted(calls: list[str], tmp_path: Path) -> None:
    result = say(*calls, "--refusals", str(tmp_path / "refused.csv"))
    assert "1 refused records are in" in result.output
    assert (tmp_path / "refused.csv").read_text().splitlines() == [
        "line,record_id,field,reason,value",
        '3,a2,updated_at,is not an ISO 8601 time,"""soon"""',
    ]


def test_corrections_in_force_apply_to_a_file(
    calls: list[str], lake: LakeWriter, operations: Operations, deployed: Settings
) -> None:
    with operations.session() as session:
        for field in ("called_at", "updated_at"):
            corrections.add_correction(
                session,
                source="import.office",
                kind="inbound_calls",
                correction=Correction("replace", field, '"soon"', "2026-01-12T15:00:00Z"),
                note="said on the telephone",
                actor="test",
                now=clock_from(deployed).now(),
            )
    say(*calls)
    assert stored(lake) == ["a1", "a2", "a3"]


def test_a_stopped_import_says_where_it_goes_on_and_can_be_told_not_to(
    calls: list[str], lake: LakeWriter, tmp_path: Path
) -> None:
    rows = "".join(f"b{n:06},c1,2026-01-10T15:00:00Z,refund\n" for n in range(CHUNK_ROWS + 1))
    (tmp_path / "calls.csv").write_text("id,who,at,why\n" + rows)
    say(*calls)
    identity = import_id(
        tmp_path / "calls.csv", load_mapping(tmp_path / "office.yml"), (), chunk_rows=CHUNK_ROWS
    )
    # As if it had been killed between its two chunks.
    stop = "delete from lake.raw_quality.import_chunks where import_id = $id and chunk_number = 1"
    lake.connection.execute(stop, {"id": identity})
    assert "goes on at 50,000 of 50,001" in say(*calls).output
    lake.connection.execute(stop, {"id": identity})
    assert "goes on at" not in say(*calls, "--from-start").output


def test_the_report_is_mailed_once_to_each_address(calls: list[str], deployed: Settings) -> None:
    words = [*calls, "--mail-to", "ana@school.example", "--mail-to", "ben@school.example"]
    assert "report mailed to 2 of 2 addresses" in say(*words).output
    assert "report mailed to 0 of 2 addresses, 2 had it already" in say(*words).output


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--show", "3"), "--show goes with --dry-run"),
        (("--dry-run", "--from-start"), "--from-start does not go with --dry-run"),
        (("--dry-run", "--mail-to", "ana@school.example"), "--mail-to does not go with --dry-run"),
        (("--mail-to", "ana"), "'ana' is not one plain address"),
        (("--mail-to", "ana@school.example\nBcc: all@school.example"), "line break"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(
    calls: list[str],
    lake: LakeWriter,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    told: str,
) -> None:
    assert told in fail(capsys, monkeypatch, *calls, *more)
    assert stored(lake) == []


def test_refusals_do_not_overwrite_the_file_that_they_are_about(
    calls: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "would overwrite what is imported" in fail(capsys, monkeypatch, *calls, "--refusals", calls[1])
    assert Path(calls[1]).read_text() == ROWS
