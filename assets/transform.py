"""dbt as assets: one definition of all models, one invocation per step. The SQL itself lives in dbt_project."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets
from dagster_dbt.core.resource import DBT_PYTHON_VERSION

from assets.days import as_of_range, daily_partitions
from assets.resources import WRITER_POOL, House, Turn
from data.lake.connection import dbt_environment
from data.lake.writer import open_writer
from data.postgres import open_postgres
from data.settings import Settings

SOURCES = ("*.sql", "*.yml", "*.csv")
AS_OF_INSTANT = "CHALKLINE_AS_OF_INSTANT"


class ChalklineTranslator(DagsterDbtTranslator):
    """One name per thing: the asset key is [schema, table], the group is the folder."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Return schema and table, as macros/generate_schema_name.sql builds them."""
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Return the folder, which is the schema."""
        return str(dbt_resource_props["schema"])


def dbt_variables(first: date, last: date, *, time_zone: str) -> dict[str, str]:
    """Return the variables of one invocation: the range of as_of_date and the zone."""
    return {
        "as_of_from": first.isoformat(),
        "as_of_to": last.isoformat(),
        "business_time_zone": time_zone,
    }


@contextmanager
def judged_at(instant: datetime | None) -> Iterator[None]:
    """Tell dbt processes that start inside at which instant their last day is judged; None: at its end."""
    # Not a variable of dbt: it differs in each run, and dbt would parse the project anew each time.
    os.environ |= {AS_OF_INSTANT: instant.strftime("%Y-%m-%dT%H:%M:%SZ") if instant else ""}
    try:
        yield
    finally:
        os.environ |= {AS_OF_INSTANT: ""}


def build_arguments(
    variables: Mapping[str, str], *, with_tests: bool = True, full_refresh: bool = False
) -> list[str]:
    """Return the arguments of one dbt invocation. Unit tests belong to `make test`, not to a lane."""
    arguments = ["build", "--vars", json.dumps(dict(variables), sort_keys=True)]
    arguments += ["--exclude-resource-type", "unit_test"]
    if not with_tests:
        arguments += ["--exclude-resource-type", "test"]
    if full_refresh:
        arguments.append("--full-refresh")
    return arguments


def prepare_manifest(settings: Settings) -> Path:
    """Parse the dbt project if its files changed since the last time. Returns the manifest's path."""
    target = settings.state / "dbt"
    # A copy of our own: each dbt run writes its manifest anew, and one that is killed leaves half of it.
    manifest, stamp = target / "parsed.json", target / "parsed.txt"
    fingerprint = _fingerprint(settings.dbt_project_path)
    if manifest.exists() and stamp.exists() and stamp.read_text() == fingerprint:
        return manifest
    target.mkdir(parents=True, exist_ok=True)
    with open_writer(settings):
        pass  # the models' sources must exist before anybody builds on them
    done = subprocess.run(
        [dbt_executable(), "parse", "--quiet"],
        cwd=settings.dbt_project_path,
        env=dbt_process_environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"dbt cannot read {settings.dbt_project_path}:\n{done.stdout[-4000:]}{done.stderr[-2000:]}"
        )
    draft = target / f".{manifest.name}.{os.getpid()}"
    shutil.copyfile(target / "manifest.json", draft)
    draft.replace(manifest)
    stamp.write_text(fingerprint)
    return manifest


def dbt_executable() -> str:
    """Return the dbt of this environment, which need not be activated to be used."""
    return str(Path(sys.executable).with_name("dbt"))


def dbt_process_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a dbt process: ours, and where the lake is."""
    return (
        os.environ
        | dbt_environment(settings, open_postgres(settings))
        | {
            "DBT_PROFILES_DIR": str(settings.dbt_project_path),
            "DBT_PROJECT_DIR": str(settings.dbt_project_path),
        }
    )


def _fingerprint(project: Path) -> str:
    digest = hashlib.sha256(str(project).encode())
    for pattern in SOURCES:
        for file in sorted(project.rglob(pattern)):
            inside = file.relative_to(project)
            if "target" not in inside.parts:
                digest.update(str(inside).encode() + file.read_bytes())
    return digest.hexdigest()


def build_dbt_assets(settings: Settings, manifest: Path) -> dg.AssetsDefinition:
    """Return all dbt models, seeds and tests as assets and checks, partitioned by as_of_date.

    A range of partitions is one run: a backfill over 400 days is one invocation.
    """
    translator = ChalklineTranslator(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))

    @dbt_assets(
        manifest=manifest,
        name="warehouse",
        pool=WRITER_POOL,
        partitions_def=daily_partitions(settings.business_time_zone),
        backfill_policy=dg.BackfillPolicy.single_run(),
        dagster_dbt_translator=translator,
    )
    def warehouse(
        context: dg.AssetExecutionContext,
        dbt: DbtCliResource,
        house: dg.ResourceParam[House],
        turn: dg.ResourceParam[Turn],
    ) -> Iterator[Any]:
        first, last = as_of_range(context)
        instant = house.clock.now() if last == house.today() else None
        variables = dbt_variables(first, last, time_zone=house.settings.business_time_zone)
        full_refresh = context.run.tags.get("chalkline/full_refresh") == "yes"
        arguments = build_arguments(variables, full_refresh=full_refresh)
        with judged_at(instant):
            invocation = dbt.cli(arguments, context=context, target_path=_target(house.settings))
        yield from invocation.stream()

    return warehouse


def _target(settings: Settings) -> Path:
    return settings.state / "dbt"


class DbtOfThisEnvironment(DbtCliResource):
    """The dbt command line, started at once.

    Before each invocation dagster-dbt runs `dbt --version` and loads a second dbt into its own process, for row counts
    that nobody asks for here: 5.2 s and 2.9 s where a fast lane of the tiny world takes 97 s. Both are answered
    without it.
    """

    @cached_property
    def _cli_version(self) -> Any:
        return DBT_PYTHON_VERSION

    def _initialize_dbt_core_adapter(self, args: Any) -> Any:
        return None


def dbt_resource(settings: Settings) -> DbtCliResource:
    """Return the dbt command line as a resource."""
    os.environ.update(dbt_environment(settings, open_postgres(settings)))
    return DbtOfThisEnvironment(
        project_dir=str(settings.dbt_project_path),
        profiles_dir=str(settings.dbt_project_path),
        dbt_executable=dbt_executable(),
    )
