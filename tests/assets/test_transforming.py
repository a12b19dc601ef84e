"""dbt as assets: the arguments of an invocation, the names of things, and when the project is read again."""

import json
import os
import shutil
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_dbt import DbtCliResource

from assets import transform
from assets.transform import (
    AS_OF_INSTANT,
    ChalklineTranslator,
    build_arguments,
    dbt_resource,
    dbt_variables,
    judged_at,
    prepare_manifest,
)
from data.settings import PROJECT_ROOT, Settings

DAY = date(2026, 3, 2)
PROJECT = PROJECT_ROOT / "dbt_project"


def test_a_day_is_a_range_that_begins_and_ends_with_it() -> None:
    assert dbt_variables(DAY, DAY, time_zone="UTC") == {
        "as_of_from": "2026-03-02",
        "as_of_to": "2026-03-02",
        "business_time_zone": "UTC",
    }


def test_the_running_day_ends_now() -> None:
    now = datetime(2026, 3, 2, 14, 5, 9, 123456, tzinfo=UTC)
    with judged_at(now):
        assert os.environ[AS_OF_INSTANT] == "2026-03-02T14:05:09Z"
    assert os.environ[AS_OF_INSTANT] == ""


def test_a_day_in_the_past_ends_whole() -> None:
    with judged_at(None):
        assert os.environ[AS_OF_INSTANT] == ""


def test_variables_are_one_argument_in_a_stable_order() -> None:
    first = build_arguments({"b": "2", "a": "1"}, with_tests=True)
    assert first == build_arguments({"a": "1", "b": "2"}, with_tests=True)
    assert first[:2] == ["build", "--vars"]
    assert json.loads(first[2]) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("with_tests", "full_refresh", "excluded", "refreshes"),
    [
        (True, False, ["unit_test"], False),
        (False, False, ["unit_test", "test"], False),
        (True, True, ["unit_test"], True),
    ],
)
def test_a_lane_leaves_out_unit_tests_always_and_data_tests_when_asked(
    with_tests: bool, full_refresh: bool, excluded: list[str], refreshes: bool
) -> None:
    arguments = build_arguments({}, with_tests=with_tests, full_refresh=full_refresh)
    named = [
        arguments[place + 1] for place, word in enumerate(arguments) if word == "--exclude-resource-type"
    ]
    assert named == excluded
    assert ("--full-refresh" in arguments) is refreshes


def test_a_model_is_named_by_schema_and_table_and_grouped_by_folder() -> None:
    properties = {"schema": "marts", "name": "fct_daily_kpis", "resource_type": "model"}
    translator = ChalklineTranslator()
    assert translator.get_asset_key(properties) == dg.AssetKey(["marts", "fct_daily_kpis"])
    assert translator.get_group_name(properties) == "marts"


REAL_RUN = subprocess.run


class FakeDbt:
    """Stands in for `dbt parse`: counts, and writes what dbt would write."""

    def __init__(self, target: Path) -> None:
        self.calls = 0
        self.target = target
        self.answer = 0

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        if "parse" not in command:
            return REAL_RUN(command, **options)  # the embedded server starts by the same function
        self.calls += 1
        if self.answer == 0:
            (self.target / "manifest.json").write_text("{}")
        return subprocess.CompletedProcess(
            command, self.answer, stdout="Error in models/marts/broken.sql", stderr=""
        )


@pytest.fixture
def project(state_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A deployment with a project of its own, in a folder that is called like dbt's target, as may happen."""
    folder = tmp_path / "target" / "dbt_project"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "one.sql").write_text("select 1")
    shutil.rmtree(state_settings.state / "dbt", ignore_errors=True)
    monkeypatch.setattr(Settings, "dbt_project_path", property(lambda _: folder))
    return state_settings


@pytest.fixture
def fake(project: Settings, monkeypatch: pytest.MonkeyPatch) -> FakeDbt:
    stand_in = FakeDbt(project.state / "dbt")
    monkeypatch.setattr(transform.subprocess, "run", stand_in.run)
    return stand_in


def test_the_project_is_parsed_once_and_again_only_after_a_change(project: Settings, fake: FakeDbt) -> None:
    manifest = prepare_manifest(project)
    assert prepare_manifest(project) == manifest
    assert fake.calls == 1
    (project.dbt_project_path / "models" / "one.sql").write_text("select 2")
    prepare_manifest(project)
    (project.dbt_project_path / "models" / "two.yml").write_text("models: []")
    prepare_manifest(project)
    prepare_manifest(project)
    assert fake.calls == 3


def test_what_dbt_itself_writes_is_no_change(project: Settings, fake: FakeDbt) -> None:
    prepare_manifest(project)
    compiled = project.dbt_project_path / "target" / "compiled"
    compiled.mkdir(parents=True)
    (compiled / "one.sql").write_text("select 1")
    prepare_manifest(project)
    assert fake.calls == 1


def test_a_project_that_failed_is_read_again_next_time(project: Settings, fake: FakeDbt) -> None:
    fake.answer = 2
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"broken\.sql"):
            prepare_manifest(project)
    fake.answer = 0
    prepare_manifest(project)
    assert fake.calls == 3


def test_a_broken_project_gives_an_error_that_names_the_file(
    state_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "dbt_project"
    shutil.copytree(PROJECT / "macros", folder / "macros")
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copyfile(PROJECT / name, folder / name)
    (folder / "models" / "marts").mkdir(parents=True)
    (folder / "models" / "marts" / "fct_broken.sql").write_text("select {{ ref('fct_nothing' }}")
    shutil.rmtree(state_settings.state / "dbt", ignore_errors=True)
    monkeypatch.setattr(Settings, "dbt_project_path", property(lambda _: folder))
    with pytest.raises(RuntimeError, match="fct_broken"):
        prepare_manifest(state_settings)


def test_what_dbt_is_not_asked_before_each_run_is_what_it_would_say(state_settings: Settings) -> None:
    ours = dbt_resource(state_settings)
    theirs = DbtCliResource(
        project_dir=ours.project_dir, profiles_dir=ours.profiles_dir, dbt_executable=ours.dbt_executable
    )
    assert ours._cli_version == theirs._cli_version
    assert theirs._initialize_dbt_core_adapter, "else a new dagster-dbt loads it in another way"
    assert ours._initialize_dbt_core_adapter([]) is None
