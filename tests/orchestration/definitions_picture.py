"""What a deployment consists of, as text: an accidental rename shows in review as a diff.

Run as a script, it writes the picture that the test compares with: python tests/orchestration/definitions_picture.py
"""

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

PICTURE = Path(__file__).with_name("definitions_snapshot.json")


def picture_of(definitions: dg.Definitions) -> dict[str, Any]:
    """Return all names: assets, checks, what each job builds, when schedules tick, what sensors start."""
    graph = definitions.resolve_asset_graph()
    repository = definitions.get_repository_def()
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    return {
        "assets": sorted(key.to_user_string() for key in graph.executable_asset_keys),
        "checks": sorted(f"{key.asset_key.to_user_string()}: {key.name}" for key in graph.asset_check_keys),
        "jobs": {
            job.name: sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
            for job in sorted(jobs, key=lambda job: job.name)
        },
        "schedules": {
            schedule.name: f"{schedule.job_name} at {schedule.cron_schedule} {schedule.execution_timezone}"
            for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name)
        },
        "sensors": {
            sensor.name: [target.job_name for target in sensor.targets]
            for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name)
        },
    }


def as_text(picture: dict[str, Any]) -> str:
    """Return the picture as it is kept."""
    return json.dumps(picture, indent=2) + "\n"


def write() -> None:
    """Take the picture of a deployment in a folder of its own, and keep it."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from assets.resources import House
    from data.clock import FixedClock
    from data.settings import Settings
    from orchestration.build import build_definitions

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        house = House(Settings(state=Path(folder)), FixedClock(datetime(2026, 3, 2, 17, tzinfo=UTC)))
        PICTURE.write_text(as_text(picture_of(build_definitions(house))))


if __name__ == "__main__":
    write()
