"""The instant of a run reaches the SQL through the environment, and costs no parsing."""

from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime, timedelta

import pytest

from assets.transform import (
    build_arguments,
    dbt_executable,
    dbt_process_environment,
    dbt_variables,
    judged_at,
)
from tests.dbt_project.lake import PROJECT, Lake

pytestmark = pytest.mark.slow

DAY = date(2026, 3, 10)
NOON = datetime(2026, 3, 10, 16, tzinfo=UTC)


def compile_models(lake: Lake, instant: datetime | None) -> tuple[str, str]:
    """Return what dbt said, and the SQL of a model that ends at the instant."""
    arguments = build_arguments(dbt_variables(DAY, DAY, time_zone="UTC"), with_tests=False)
    with judged_at(instant):
        environment = dbt_process_environment(lake.settings)
    done = subprocess.run(
        [dbt_executable(), "compile", *arguments[1:3], "--select", "ftr_subject_durations"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (sql,) = (lake.settings.state / "dbt" / "compiled").rglob("ftr_subject_durations.sql")
    return done.stdout, sql.read_text()


def test_another_instant_is_in_the_sql_and_nothing_is_parsed_again(lake: Lake) -> None:
    assert "timestamptz" not in compile_models(lake, None)[1]
    for instant, text in (
        (NOON, "2026-03-10T16:00:00Z"),
        (NOON + timedelta(minutes=5), "2026-03-10T16:05:00Z"),
    ):
        said, sql = compile_models(lake, instant)
        assert f"timestamptz '{text}'" in sql
        assert "parsing" not in said
