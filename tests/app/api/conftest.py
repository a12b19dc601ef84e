"""One deployment with one published version for all tests of the read API."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from api_builders import Door, an_entry, build, publish

from data.lake.writer import LakeWriter, open_writer
from data.operations import publications
from data.operations.store import Operations, open_operations
from data.postgres import open_postgres
from data.settings import Settings

DAYS = [
    {
        "event_date": date(2026, 3, day),
        "grouped_by": grouped_by,
        "group_value": value,
        "event_count": count,
        "actor_count": actors,
        "loaded_snapshot_id": 1,
    }
    for day in (1, 2)
    for grouped_by, value, count, actors in (
        ("day", "all", 10 * day, 3),
        ("actor_type", "tutor", 6 * day, 2),
        ("actor_type", "customer", 4 * day, 2),
        ("event_type", "login", 10 * day, 3),
    )
]


@pytest.fixture(scope="session")
def api_settings() -> Iterator[Settings]:
    # Not pytest's own folder: that one is closed to the user the embedded server runs as.
    folder = Path(tempfile.mkdtemp(prefix="chalkline-api-"))
    folder.chmod(0o755)
    yield Settings(state=folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def api_operations(api_settings: Settings) -> Operations:
    return open_operations(open_postgres(api_settings))


@pytest.fixture(scope="session")
def api_lake(api_settings: Settings) -> Iterator[LakeWriter]:
    with open_writer(api_settings) as writer:
        yield writer


@pytest.fixture(scope="session")
def published(api_settings: Settings, api_operations: Operations, api_lake: LakeWriter) -> int:
    """A version that holds 50 entries of one tutor, one of another, and two days of engagement."""
    kinds = ("session", "flag", "reschedule", "engagement")
    entries = [an_entry(number, kind=kinds[number % 4]) for number in range(50)]
    snapshot = build(
        api_lake,
        api_settings,
        {
            "core.dim_tutors": [{"tutor_id": tutor} for tutor in ("t1", "t2", "t_quiet")],
            "marts.rpt_tutor_timeline": [*entries, an_entry(1, tutor_id="t2")],
            "marts.fct_engagement_days": DAYS,
        },
    )
    return publish(api_operations, snapshot)


@pytest.fixture
def version(published: int, api_operations: Operations) -> int:
    """The version that readers see now: it shows what was published first, unless a test says otherwise."""
    with api_operations.session() as session:
        row = publications.current(session)
        assert row is not None
        return row.publication_id


@pytest.fixture(scope="session")
def door(api_settings: Settings, api_operations: Operations, published: int) -> Door:
    return Door(api_settings, api_operations)
