"""The guide tells the truth: its example imports as written, and its tables name every field and setting."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from import_builders import a_fresh_lake, run_import, sessions_of, write_text

from assets.ingest.mapping import Mapping, ReadOptions, load_mapping
from data.contracts import CONTRACTS, Kind
from data.lake.writer import LakeWriter
from data.settings import PROJECT_ROOT

GUIDE = PROJECT_ROOT / "docs" / "importing.md"


@pytest.fixture(scope="module")
def lake() -> Iterator[LakeWriter]:
    with a_fresh_lake() as lake:
        yield lake


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_worked_example_imports_as_the_guide_says(lake: LakeWriter, tmp_path: Path) -> None:
    mapping = load_mapping(write_text(tmp_path, block("yaml"), "bookings.yml"))
    report = run_import(lake, write_text(tmp_path, block("csv")), mapping)
    rows = sessions_of(lake)
    assert [row["status"] for row in rows] == ["finished", "finished", "cancelled"]
    assert rows[0]["tutor_joined_at"] == datetime(2026, 1, 10, 20, 4)
    assert (rows[1]["tutor_joined_at"], rows[1]["student_rating"]) == (None, None)
    shown = re.search(r"```\n(bookings\.csv -> .*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    assert report.render().startswith(shown[1].rstrip())


@pytest.mark.parametrize("kind", CONTRACTS)
def test_the_guide_names_every_field_and_marks_the_required_ones(kind: Kind) -> None:
    section = GUIDE.read_text(encoding="utf-8").split(f"### {kind}\n")[1].split("\n#")[0]
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


def test_the_guide_names_every_setting() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    names = [
        *(name for name in Mapping.model_fields if name != "read"),
        *(f"read.{n}" for n in ReadOptions.model_fields),
    ]
    assert [name for name in names if f"`{name}`" not in text] == []
