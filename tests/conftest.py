"""Fixtures for everything that keeps state: one embedded server per process, an empty store and lake per test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr

from data.lake import writer as writer_module
from data.lake.writer import LakeWriter, open_writer
from data.operations.store import Operations, open_operations
from data.operations.tables import Base
from data.postgres import Postgres, open_postgres
from data.settings import Settings
from tests.emptying import empty
from tests.reliability.day import SHARED_ROOM

# The same examples on every machine, and nothing written beside the code.
hypothesis_settings.register_profile(
    "seeded", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("seeded")


def pytest_configure(config: pytest.Config) -> None:
    """Give the processes of one test run a folder in which they share what is dear to make."""
    if not hasattr(config, "workerinput") and SHARED_ROOM not in os.environ:
        shared = Path(tempfile.mkdtemp(prefix="chalk-"))
        shared.chmod(0o755)
        os.environ[SHARED_ROOM] = str(shared)
        config.add_cleanup(lambda: shutil.rmtree(shared, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let long files begin first, or one process would work alone at the end, with the day that others copy ahead."""
    of_the_day = {item.path for item in items if "day" in getattr(item, "fixturenames", ())}

    def turn(item: pytest.Item) -> int:
        if not any(item.get_closest_marker(name) for name in ("slow", "browser")):
            return 3
        if item.path in of_the_day:
            return 0 if item.path.name == "test_a_day.py" else 2
        return 1

    items.sort(key=turn)


@pytest.fixture(scope="session")
def state_folder() -> Iterator[Path]:
    # Not pytest's own folder: that one is closed to the user the embedded server runs as.
    folder = Path(tempfile.mkdtemp(prefix="chalkline-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def state_settings(state_folder: Path) -> Settings:
    # Unset: the embedded server. Set: a throwaway server, since every test empties its databases.
    address = os.environ.get("CHALKLINE_TEST_DATABASE_URL")
    return Settings(state=state_folder, database_url=SecretStr(address) if address else None)


@pytest.fixture(scope="session")
def postgres(state_settings: Settings) -> Postgres:
    return open_postgres(state_settings)


@pytest.fixture(scope="session")
def _opened_operations(postgres: Postgres) -> Operations:
    return open_operations(postgres)


@pytest.fixture
def operations(_opened_operations: Operations) -> Operations:
    names = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with _opened_operations.engine.begin() as connection:
        connection.execute(sa.text(f"truncate {names} restart identity cascade"))
    return _opened_operations


@pytest.fixture(scope="session")
def opened_lake(state_settings: Settings) -> Iterator[LakeWriter]:
    """The lake of this process, with whatever earlier tests left in it."""
    with open_writer(state_settings) as lake:
        yield lake


@pytest.fixture
def lake(opened_lake: LakeWriter) -> LakeWriter:
    """The lake of this process, emptied."""
    return empty(opened_lake)


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> list[LakeWriter]:
    """The lakes that a kept lake attaches during the test, in order."""
    opened: list[LakeWriter] = []

    def counted(settings: Settings) -> LakeWriter:
        opened.append(open_writer(settings))
        return opened[-1]

    monkeypatch.setattr(writer_module, "open_writer", counted)
    return opened
