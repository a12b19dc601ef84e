"""Small files, mappings and lakes for the tests of bulk import."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from assets.ingest.files import import_file, rehearse_file
from assets.ingest.mapping import Mapping
from assets.ingest.report import ImportReport
from assets.ingest.unpacking import Limits
from data.clock import FixedClock
from data.contracts import CONTRACTS
from data.lake.writer import LakeWriter, open_writer
from data.settings import Settings

CLOCK = FixedClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
LIMITS = Limits(
    max_bytes=8_000_000_000,
    max_columns=500,
    memory_limit="4GB",
    spill_folder=Path(tempfile.gettempdir()) / "chalkline-spill",
)
TABLES = (
    *(f"lake.raw_marketplace.{kind}" for kind in CONTRACTS),
    *(f"pii.{kind}" for kind in ("sessions", "customers", "tutors", "quarantined_records")),
    "lake.raw_quality.ingestion_batches",
    "lake.raw_quality.quarantined_records",
)
ACCOUNTS = ("lake.raw_quality.import_chunks", "lake.raw_quality.quarantine_sightings")
BOOKINGS = """booking,coach,pupil,topic,begins,came,stars
007,anna,p1,maths,2026-01-10 15:00,2026-01-10 15:04,5
008,ben,p2,physics,2026-01-10 16:00,,
009,anna,p1,maths,2026-01-11 15:00,2026-01-11 14:59,4
"""


@contextmanager
def a_fresh_lake() -> Iterator[LakeWriter]:
    # Not pytest's own folder: that one is closed to the user the embedded server runs as.
    folder = Path(tempfile.mkdtemp(prefix="chalkline-tests-"))
    folder.chmod(0o755)
    try:
        with open_writer(Settings(state=folder, database_url=None)) as lake:
            yield lake
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def empty(lake: LakeWriter) -> None:
    for table in (*TABLES, *ACCOUNTS):
        lake.connection.execute(f"delete from {table}")


def stored_rows(lake: LakeWriter) -> int:
    return sum(lake.read(f"select count(*) as n from {table}")["n"][0] for table in TABLES)


def sessions_of(lake: LakeWriter) -> list[dict[str, Any]]:
    return lake.read("select * from lake.raw_marketplace.sessions order by session_id").to_dicts()


def bookings_mapping(**changes: Any) -> Mapping:
    """A mapping for BOOKINGS. Settings are replaced by name; entries of dictionaries are added to it."""
    content: dict[str, Any] = {
        "name": "bookings",
        "kind": "sessions",
        "describes": "Bookings of a small school.",
        "time_zone": "America/New_York",
        "fields": {
            "session_id": "booking",
            "tutor_id": "coach",
            "customer_id": "pupil",
            "subject_id": "topic",
            "scheduled_start_at": "begins",
            "tutor_joined_at": "came",
            "student_rating": "stars",
            "updated_at": "begins",
        },
        "constants": {
            "status": "finished",
            "join_kind": "meeting",
            "reports_attendance": True,
            "reports_customer_attendance": False,
        },
    }
    for name, value in changes.items():
        old = content.get(name)
        content[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return Mapping.model_validate(content)


def write_text(folder: Path, text: str, name: str = "bookings.csv", encoding: str = "utf-8") -> Path:
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return file


def write_parquet(folder: Path, rows: list[dict[str, Any]], name: str = "dump.parquet") -> Path:
    file = folder / name
    pl.DataFrame(rows).write_parquet(file)
    return file


def run_import(lake: LakeWriter, file: Path, mapping: Mapping, **options: Any) -> ImportReport:
    given: dict[str, Any] = {"limits": LIMITS} | options
    return import_file(lake, file, mapping, clock=CLOCK, business_time_zone="America/New_York", **given)


def rehearse(file: Path, mapping: Mapping, **options: Any) -> ImportReport:
    given: dict[str, Any] = {"limits": LIMITS} | options
    return rehearse_file(file, mapping, **given)
