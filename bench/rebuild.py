"""Piece `rebuild`: what dbt costs on top of its own SQL when all marts are built anew."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assets.transform import build_arguments, dbt_process_environment, dbt_variables
from bench.measure import Figure, in_turns, timed
from bench.worker import dbt_times
from data.clock import SystemClock
from data.lake.writer import LakeWriter, open_writer
from data.postgres import open_postgres
from data.settings import Settings

if TYPE_CHECKING:
    from bench.__main__ import Bench

SCRATCH = "bench_"
"""Prefix of the schemas that the bare SQL builds into: the real marts stay as they are."""


@dataclass(frozen=True)
class Model:
    """One model as dbt compiled it for a full refresh."""

    name: str
    schema: str
    is_view: bool
    sql: str

    @property
    def relation(self) -> str:
        """Return the relation as dbt writes it."""
        return f'"lake"."{self.schema}"."{self.name}"'

    @property
    def scratch(self) -> str:
        """Return the relation in its scratch schema."""
        return f'"lake"."{SCRATCH}{self.schema}"."{self.name}"'


def measure(bench: Bench) -> list[Figure]:
    """Compare a full rebuild by the nightly lane's dbt invocation with the bare SQL. Leaves the marts as they were."""
    state, done = bench.prepared(bench.profile)
    settings = state.settings()
    variables = dbt_variables(
        date.fromisoformat(done["first"]),
        date.fromisoformat(done["night"]),
        time_zone=settings.business_time_zone,
    )
    arguments = build_arguments(variables, with_tests=False, full_refresh=True)
    spent: list[dict[str, float]] = []

    def by_dbt() -> float:
        seconds, times = run_dbt(settings, arguments)
        spent.append(times)
        return seconds

    bench.tell("one rebuild to warm up")
    by_dbt()
    spent.clear()
    models = compiled_models(settings.state / "dbt")
    bare: list[dict[str, float]] = []
    with scratch_schemas(settings, models):

        def by_hand() -> float:
            times: dict[str, float] = {}
            seconds = timed(lambda: times.update(build_bare(settings, models)))
            bare.append(times)
            return seconds

        by_hand()
        bare.clear()
        ours, theirs = in_turns(
            by_dbt, by_hand, pairs=bench.pairs, tell=bench.tell, print_line=bench.print_line
        )
    return [
        Figure(
            piece="rebuild",
            name="full rebuild of the marts",
            product=f"dbt build --full-refresh, {len(models)} models",
            yardstick="the same SQL in one DuckDB connection",
            product_seconds=ours,
            yardstick_seconds=theirs,
            notes=[_dbt_note(spent), *_model_notes(models, spent, bare)],
        )
    ]


def run_dbt(settings: Settings, arguments: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Run dbt as a lane does and return its seconds, in all and by what it did. Raises RuntimeError if it failed."""
    environment = dbt_process_environment(settings)
    began, started = SystemClock().now().timestamp(), time.perf_counter()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dbt")), *arguments],
        cwd=settings.dbt_project_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"dbt failed in {settings.state}:\n{done.stdout[-3_000:]}{done.stderr[-1_000:]}")
    spent, nodes = dbt_times(settings.state / "dbt", started=began, ended=began + seconds)
    return seconds, spent | nodes


def compiled_models(target: Path) -> list[Model]:
    """Return the models of the last invocation, in the order in which dbt built them."""
    nodes = json.loads((target / "manifest.json").read_text())["nodes"]
    return [
        Model(
            name=node["name"],
            schema=node["schema"],
            is_view=node["config"]["materialized"] == "view",
            sql=result["compiled_code"],
        )
        for result in json.loads((target / "run_results.json").read_text())["results"]
        if (node := nodes[result["unique_id"]])["resource_type"] == "model"
    ]


def build_bare(settings: Settings, models: Sequence[Model]) -> dict[str, float]:
    """Build all models into the scratch schemas, one statement each, and return the seconds of each."""
    times = {}
    with LakeWriter.attach(settings, open_postgres(settings)) as lake:
        for model in models:
            kind = "view" if model.is_view else "table"
            statement = f"create or replace {kind} {model.scratch} as (\n{_redirected(model.sql, models)}\n)"
            times[model.name] = timed(partial(lake.connection.execute, statement))
    return times


def _redirected(sql: str, models: Sequence[Model]) -> str:
    # Seeds and raw tables are read where they are; what is built here is read from here.
    for model in models:
        sql = sql.replace(model.relation, model.scratch)
    return sql


@contextmanager
def scratch_schemas(settings: Settings, models: Sequence[Model]) -> Iterator[None]:
    """Create the scratch schemas, and take them and their files away again."""
    schemas = sorted({f"{SCRATCH}{model.schema}" for model in models})
    with open_writer(settings) as lake:
        for schema in schemas:
            lake.connection.execute(f'drop schema if exists lake."{schema}" cascade')
            lake.connection.execute(f'create schema lake."{schema}"')
    try:
        yield
    finally:
        with open_writer(settings) as lake:
            for schema in schemas:
                lake.connection.execute(f'drop schema lake."{schema}" cascade')


def _dbt_note(spent: Sequence[dict[str, float]]) -> str:
    kinds = [name for name in spent[0] if "." not in name]
    parts = [f"{kind} {statistics.median(times[kind] for times in spent):.1f} s" for kind in kinds]
    return "inside dbt: " + ", ".join(parts)


def _model_notes(
    models: Sequence[Model], spent: Sequence[dict[str, float]], bare: Sequence[dict[str, float]]
) -> list[str]:
    """Return the models that cost most over their bare SQL, with both medians."""
    rows = []
    for model in models:
        ours = statistics.median(times[f"model.chalkline.{model.name}"] for times in spent)
        theirs = statistics.median(times[model.name] for times in bare)
        rows.append((ours - theirs, f"{model.schema}.{model.name} {ours:.2f} s against {theirs:.2f} s"))
    worst = [text for _, text in sorted(rows, reverse=True)[:5]]
    return ["widest gaps: " + "; ".join(worst)]
