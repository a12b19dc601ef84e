"""The guide tells the truth: its files import as written, and the reference names every field and setting."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from import_builders import a_fresh_lake, empty, rehearse, run_import, sessions_of

from assets.ingest.mapping import Lookup, Mapping, ReadOptions, load_mapping
from data.contracts import CONTRACTS, Kind
from data.lake.writer import LakeWriter
from data.settings import PROJECT_ROOT

GUIDE = PROJECT_ROOT / "docs" / "importing.md"
REFERENCE = PROJECT_ROOT / "docs" / "mappings.md"
FILES = Path(__file__).parent / "files"


@pytest.fixture(scope="module")
def shared_lake() -> Iterator[LakeWriter]:
    with a_fresh_lake() as lake:
        yield lake


@pytest.fixture
def lake(shared_lake: LakeWriter) -> LakeWriter:
    empty(shared_lake)
    return shared_lake


def blocks() -> list[str]:
    return re.findall(r"^```[a-z]*\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def printed_by(command: str) -> str:
    """What the guide shows under a command."""
    (found,) = [block.split("\n", 1)[1] for block in blocks() if block.startswith(f"$ chalkline {command}\n")]
    return found.rstrip()


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("termine.csv", "cp1252"),
        ("termine_first_try.yml", "utf-8"),
        ("termine.yml", "utf-8"),
        ("calendar.csv", "utf-8"),
        ("staff.csv", "utf-8"),
        ("calendar.yml", "utf-8"),
    ],
)
def test_the_guide_shows_the_files_as_they_are(name: str, encoding: str) -> None:
    assert (FILES / name).read_bytes().decode(encoding) in blocks()


def test_the_first_try_fails_as_the_guide_says() -> None:
    report = rehearse(FILES / "termine.csv", load_mapping(FILES / "termine_first_try.yml"))
    shown = printed_by("import termine.csv --mapping termine_first_try.yml --dry-run")
    assert report.render().startswith(shown)
    assert report.is_refused_wholly


def test_the_first_record_looks_as_the_guide_says() -> None:
    report = rehearse(FILES / "termine.csv", load_mapping(FILES / "termine.yml"), show=1)
    shown = printed_by("import termine.csv --mapping termine.yml --dry-run --show 1")
    assert report.render().startswith(shown)


def test_the_german_export_comes_in_as_the_guide_says(lake: LakeWriter) -> None:
    report = run_import(lake, FILES / "termine.csv", load_mapping(FILES / "termine.yml"))
    assert report.render() == printed_by("import termine.csv --mapping termine.yml")
    rows = {row["session_id"]: row for row in sessions_of(lake)}
    assert sorted(rows) == [f"2026-000{number}" for number in (1, 2, 3, 4, 6)]
    assert rows["2026-0006"]["scheduled_start_at"] == datetime(2026, 3, 29, 13), "the clocks went forward"
    assert (rows["2026-0003"]["status"], rows["2026-0003"]["tutor_joined_at"]) == ("cancelled", None)
    stayed_away = [name for name, row in rows.items() if row["reports_customer_attendance"]]
    assert stayed_away == ["2026-0004"]
    assert rows["2026-0004"]["tutor_joined_at"] is not None


def test_the_american_export_comes_in_as_the_guide_says(lake: LakeWriter) -> None:
    report = run_import(lake, FILES / "calendar.csv", load_mapping(FILES / "calendar.yml"))
    assert report.render().startswith(printed_by("import calendar.csv --mapping calendar.yml"))
    rows = sorted(sessions_of(lake), key=lambda row: (row["session_id"], row["updated_at"]))
    assert [(row["session_id"], row["tutor_id"], row["student_rating"]) for row in rows] == [
        ("evt-1001", "T-01", 4.0),
        ("evt-1002", "T-02", None),
        ("evt-1002", "T-02", 5.0),
        ("evt-1003", "T-01", None),
        ("evt-1004", None, 3.5),
    ]
    minutes = [(row["scheduled_end_at"] - row["scheduled_start_at"]).total_seconds() / 60 for row in rows]
    assert minutes == [90, 45, 45, 60, 75]


@pytest.mark.parametrize("kind", CONTRACTS)
def test_the_reference_names_every_field_and_marks_the_required_ones(kind: Kind) -> None:
    section = REFERENCE.read_text(encoding="utf-8").split(f"### {kind}\n")[1].split("\n#")[0]
    named = set(
        re.findall(
            r"`([a-z_]+)`", "".join(line.split("|")[1] for line in section.splitlines() if "|" in line)
        )
    )
    fields = CONTRACTS[kind].model_fields
    assert named == set(fields)
    for name, info in fields.items():
        if info.is_required():
            assert f"**`{name}`**" in section, name


def test_the_reference_names_every_setting() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    names = [
        *(name for name in Mapping.model_fields if name != "read"),
        *(f"read.{name}" for name in ReadOptions.model_fields),
    ]
    assert [name for name in names if f"`{name}`" not in text] == []
    assert [name for name in Lookup.model_fields if name not in text] == []
