"""A house, its definitions (built once per process) and a Dagster instance, on stores that are thrown away."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from assets.resources import House
from data.clock import FixedClock
from data.lake.writer import LakeWriter
from data.operations.store import Operations
from data.postgres import Postgres
from data.settings import Settings, get_settings
from orchestration.build import build_definitions
from orchestration.environment import INSTANCE_FILE
from tests.open_house import OpenHouse

NOON = datetime(2026, 3, 2, 17, tzinfo=UTC)
SET_BY_THE_COMMAND_LINE = (
    "CHALKLINE_STATE", "DAGSTER_HOME", "CHALKLINE_DAGSTER_URL", "DAGSTER_DISABLE_TELEMETRY",
    "DBT_SEND_ANONYMOUS_USAGE_STATS", "TMPDIR", "PYTHONWARNINGS",
)  # fmt: skip


@pytest.fixture(scope="session")
def definitions(state_settings: Settings) -> dg.Definitions:
    return build_definitions(House(state_settings, FixedClock(NOON)))


@pytest.fixture
def house_at(
    state_settings: Settings, operations: Operations, lake: LakeWriter
) -> Callable[[datetime], House]:
    """Give the house at an instant."""
    return lambda instant: OpenHouse(state_settings, FixedClock(instant), writer=lake)


@pytest.fixture
def house(house_at: Callable[[datetime], House]) -> House:
    return house_at(NOON)


@pytest.fixture(scope="session")
def _opened_instance(postgres: Postgres) -> Iterator[dg.DagsterInstance]:
    # As deployed, on the embedded server: other storages number their events otherwise.
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        shutil.copyfile(INSTANCE_FILE, Path(folder) / "dagster.yaml")
        address = postgres.url("dagster").render_as_string(hide_password=False)
        patch.setenv("CHALKLINE_DAGSTER_URL", address)
        patch.setenv("DAGSTER_HOME", folder)
        with dg.DagsterInstance.from_config(folder) as instance:
            yield instance


@pytest.fixture
def instance(_opened_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """A Dagster instance without runs or events."""
    _opened_instance.wipe()
    return _opened_instance


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of a command: what it sets is gone afterwards, and so is what was read from it."""
    for name in SET_BY_THE_COMMAND_LINE:
        monkeypatch.setenv(name, os.environ.get(name, ""))
    get_settings.cache_clear()
    yield monkeypatch
    get_settings.cache_clear()


@pytest.fixture
def deployed(
    environment: pytest.MonkeyPatch, state_settings: Settings, operations: Operations, tmp_path: Path
) -> Settings:
    """The stores of this process, as the environment of a command names them."""
    environment.setenv("CHALKLINE_STATE", str(state_settings.state))
    environment.setenv("CHALKLINE_NOW", NOON.isoformat())
    if state_settings.database_url is not None:
        environment.setenv("DATABASE_URL", state_settings.database_url.get_secret_value())
    return get_settings()
