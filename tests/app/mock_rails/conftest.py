"""Worlds and clients for the tests of the mock marketplace."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from app.mock_rails.api import create_app
from app.mock_rails.clock import Clock
from app.mock_rails.config import Config
from app.mock_rails.state import state_at
from app.mock_rails.world.build import World, build_world, load_world
from app.mock_rails.world.recipe import PROFILES, Recipe

UNTIL = datetime(2026, 11, 21, 12, tzinfo=UTC)
Build = Callable[..., Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    def make(
        profile: str = "tiny", *, seed: int = 7, family: str = "multiplicative", null_twin: bool = False
    ) -> Path:
        folder = tmp_path_factory.mktemp(f"{profile}-{seed}")
        build_world(Recipe(PROFILES[profile], seed, UNTIL, family, null_twin), folder)  # type: ignore[arg-type]
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_folder(build: Build) -> Path:
    return build()


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> World:
    return load_world(tiny_folder)


@pytest.fixture(scope="session")
def demo_folder(build: Build) -> Path:
    return build("demo")


@pytest.fixture(scope="session")
def demo(demo_folder: Path) -> World:
    return load_world(demo_folder)


@pytest.fixture(scope="session")
def demo_truth(demo_folder: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((demo_folder / "truth.json").read_text())
    return truth


@pytest.fixture(scope="session")
def twin_folder(build: Build) -> Path:
    return build("demo", null_twin=True)


def lived(world: World, kind: str = "sessions") -> pl.DataFrame:
    """The state at the anchor; of sessions what was to start by then, with local day and hour."""
    state = state_at(kind, world.frames[kind], world.anchor)
    if kind != "sessions":
        return state
    local = pl.col("session_start_time").dt.convert_time_zone(world.card["time_zone"])
    return state.filter(pl.col("session_start_time") <= world.anchor).with_columns(
        day=local.dt.date(),
        hour=local.dt.hour(),
        weekday=local.dt.weekday() - 1,
        subject=pl.col("subjects_covered").list.first(),
        late_minutes=(pl.col("tutor_join_time") - pl.col("session_start_time")).dt.total_seconds() / 60,
        early_minutes=(pl.col("session_end_time") - pl.col("tutor_leave_time")).dt.total_seconds() / 60,
        no_show=(pl.col("status") == "finished") & pl.col("tutor_join_time").is_null(),
    )


@pytest.fixture(scope="session")
def demo_sessions(demo: World) -> pl.DataFrame:
    return lived(demo)


Client = Callable[..., TestClient]


@pytest.fixture
def client_at(tiny: World) -> Client:
    def make(at: datetime = UNTIL, *, config: Config | None = None, token: str = "mock-token") -> TestClient:
        app = create_app(tiny, clock=Clock(at), config=config or Config())
        return TestClient(app, headers={"Authorization": f"Token token={token}"})

    return make
