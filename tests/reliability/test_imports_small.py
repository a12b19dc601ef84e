"""An import that is killed inside a chunk goes on behind the one before. The long form imports the real sets whole."""

from pathlib import Path

import pytest
from rich.console import Console

from assets.ingest.files import CHUNK_ROWS
from assets.ingest.real_files import ImportTask
from assets.resources import House
from orchestration.importing import import_with_progress
from tests.reliability.digests import lake_digests
from tests.reliability.imports import deployed, kill_and_rerun
from tests.reliability.scratch import scratch_settings

pytestmark = [pytest.mark.reliability, pytest.mark.slow]

MAPPING = """
name: counted
kind: inbound_calls
describes: Calls, counted.
repeat: calls
fields:
  call_id: "\\"at\\" || '/' || repeat_number"
  called_at: '"at"'
  updated_at: '"at"'
"""


@pytest.mark.parametrize("place", ["intake.rows_written", "intake.after_commit"])
def test_a_killed_import_goes_on_and_leaves_the_tables_of_an_undisturbed_one(
    tmp_path: Path, place: str
) -> None:
    rows = "".join(f"2026-01-{day:02}T15:00:00Z,10000\n" for day in range(1, 12))
    (tmp_path / "counts.csv").write_text("at,calls\n" + rows)
    (tmp_path / "counts.yml").write_text(MAPPING)
    task = ImportTask(tmp_path / "counts.csv", tmp_path / "counts.yml")
    with scratch_settings() as settings:
        with deployed(settings.state / "golden") as deployment:
            house = House(deployment.settings, deployment.clock)
            report = import_with_progress(house, task.file, task.mapping, console=Console(quiet=True))
            assert report.loaded_count == 110_000 > 2 * CHUNK_ROWS
            golden = lake_digests(deployment.settings)
        with deployed(settings.state / "killed") as deployment:
            kill = kill_and_rerun(deployment, task, place=place, chunk=2, golden=golden)
    assert kill.wrong == ()
    assert kill.went_on.startswith("goes on at")
