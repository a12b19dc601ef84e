"""Test lakes: made through the one way in, built by dbt in a process of its own, read back as digests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from data.lake.connection import dbt_environment
from data.lake.intake import Arrival, take_in
from data.lake.writer import LakeWriter, open_writer
from data.postgres import open_postgres
from data.settings import PROJECT_ROOT, Settings
from tests.dbt_project.world import FIRST_DAY, Delivery, World, instant

PROJECT = PROJECT_ROOT / "dbt_project"


_LOOP = """
import json, sys
from dbt.cli.main import dbtRunner
manifest = None
for line in sys.stdin:
    command = json.loads(line)
    # Other vars would make dbt read the whole project again; what a run says does not depend on when it was read.
    manifest = manifest or dbtRunner().invoke(["parse", *command["common"], *command["vars"]]).result
    outcome = dbtRunner(manifest=manifest).invoke([*command["words"], *command["common"], *command["vars"]])
    print("\\nFINISHED " + json.dumps({"success": outcome.success, "error": str(outcome.exception or "")}), flush=True)
"""


class DbtProcess:
    """dbt in a process that stays: starting it costs more than most runs."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOOP],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: dict[str, list[str]]) -> str:
        """Run one command and return its log. Raises AssertionError when it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        log: list[str] = []
        for line in self._process.stdout:
            if line.startswith("FINISHED "):
                outcome = json.loads(line.removeprefix("FINISHED "))
                text = "".join(log)
                assert outcome["success"], f"{' '.join(command['words'])}: {outcome['error']}\n{text[-6000:]}"
                return text
            log.append(line)
        raise AssertionError(f"dbt ended while running {' '.join(command['words'])}:\n{''.join(log)[-6000:]}")

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=30)


@dataclass
class Lake:
    """A lake in a folder of its own."""

    settings: Settings
    writer: LakeWriter
    process: DbtProcess | None = None
    log: str = ""

    def deliver(self, deliveries: Iterable[Delivery], *, at: datetime, day: date) -> None:
        """Take in what feeds bring."""
        for delivery in deliveries:
            arrival = Arrival(source=delivery.source, received_at=at, as_of_date=day)
            take_in(self.writer, delivery.kind, delivery.records, arrival)

    def dbt(self, *words: str, run_vars: Mapping[str, str]) -> str:
        """Run a dbt command in this lake's dbt process. Returns the log; raises when the command fails."""
        common = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
        return self._dbt_process().run(
            {"words": list(words), "common": common, "vars": ["--vars", json.dumps(dict(run_vars))]}
        )

    def _dbt_process(self) -> DbtProcess:
        if self.process is None:
            environment = os.environ | dbt_environment(self.settings, open_postgres(self.settings))
            self.process = DbtProcess(environment)
        return self.process

    def close(self) -> None:
        """End the dbt process and the writer."""
        if self.process is not None:
            self.process.close()
        self.writer.close()

    def forget(self) -> None:
        """Drop all that dbt made but the rulebook and the views on raw tables."""
        for schema, name, kind in self.read(
            "select table_schema, table_name, table_type from information_schema.tables where table_catalog = 'lake' "
            "and table_schema in ('intermediate', 'core', 'features', 'marts')"
        ).rows():
            self.writer.connection.execute(
                f"drop {'view' if kind == 'VIEW' else 'table'} lake.{schema}.{name}"
            )

    def read(self, sql: str) -> pl.DataFrame:
        """Return the rows of a query."""
        return self.writer.read(sql)

    def relations(self) -> list[str]:
        """Return every relation that dbt made, as schema.table."""
        rows = self.read(
            "select table_schema || '.' || table_name as name from information_schema.tables "
            "where table_catalog = 'lake' and table_schema in "
            "('rulebook', 'intermediate', 'core', 'features', 'marts') order by 1"
        )
        return rows["name"].to_list()

    def digests(self, *, without: frozenset[str] = frozenset()) -> dict[str, str]:
        """Return a digest of every relation's rows, whatever their order."""
        return {name: self.digest(name) for name in self.relations() if name not in without}

    def digest(self, relation: str) -> str:
        """Return a digest of one relation's rows, whatever their order."""
        rows = self.read(
            "select count(*) as n, md5(coalesce(string_agg(line, chr(10) order by line), '')) as digest "
            f"from (select to_json(t)::varchar as line from lake.{relation} as t)"
        ).row(0)
        return f"{rows[0]} rows, {rows[1]}"


def day_vars(first: date, last: date | None = None, **more: str) -> dict[str, str]:
    """Return the vars of a run over business dates."""
    return {"as_of_from": str(first), "as_of_to": str(last or first)} | more


def open_lake(folder: Path) -> Lake:
    """Open an empty lake."""
    settings = Settings(state=folder)
    return Lake(settings, open_writer(settings))


def days(count: int) -> list[date]:
    """Return the first days of the world."""
    return [FIRST_DAY + timedelta(days=number) for number in range(count)]


def deliver_days(lake: Lake, world: World, count: int) -> None:
    """Deliver the registers and the first days of a world."""
    lake.deliver(world.registers(), at=instant(FIRST_DAY, -10), day=FIRST_DAY)
    for day in days(count):
        deliver_day(lake, world, day)


def deliver_day(lake: Lake, world: World, day: date) -> None:
    """Deliver what arrives on one day, and the forecast that was made of it."""
    lake.deliver(world.day(day), at=instant(day, 23.5), day=day)
    lake.writer.append("ml.demand_forecasts", world.forecasts(day))
    lake.writer.append("ml.supply_demand_risks", world.risks(day))
