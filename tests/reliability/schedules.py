"""The same deliveries in other orders: duplicated up to three times, shuffled, delayed up to seven days.

    python -m tests.reliability.schedules --seed 7 --schedules 500 [--daily 5] [--workers 2] [--keep]

A small marketplace sends messages and pages (deliveries.py). Each schedule takes them in by the doors that a lane
uses, at instants of an injected clock, into a lake without records; then the SQL of the models that merge
versions, as dbt compiled it, is run on what is there. The tables must be those of the run in order. A handful of
schedules are built by dbt itself, day by day and incrementally, as lanes do.
"""

from __future__ import annotations

import argparse
import atexit
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import sqlalchemy as sa

from assets.ingest.messages import take_messages
from data.clock import FixedClock, business_date
from data.contracts.records import KINDS
from data.lake.intake import Arrival, take_in
from data.landing import Drop, Landing
from data.postgres import engine_for, open_postgres
from tests.dbt_project.lake import Lake, day_vars, open_lake
from tests.reliability.deliveries import BEGIN, DAYS, Delivery, Marketplace
from tests.reliability.deployment import stop_postgres
from tests.reliability.digests import NAMES_A_RUN, differences, digest
from tests.reliability.record import Verdict, add_keep_option, conclude

COPIES = 3
KEPT = "lake_before_the_first_record"
"""Database that keeps the catalogue of the lake without records."""
LONGEST_DELAY = timedelta(days=7)
IN_ORDER_EVERY = (timedelta(days=1),)
BY_CHANCE_EVERY = (timedelta(hours=12), timedelta(days=1), timedelta(days=2), timedelta(days=4))
"""All that arrived since the last time is taken in at once, in whatever order it lies there."""
LAST_DAY = (BEGIN + timedelta(days=DAYS) + LONGEST_DELAY + timedelta(days=4)).date()
"""The business date that all tables are built for: nothing arrives after it."""

MODELS = (
    "intermediate.int_sessions",
    "core.fct_sessions",
    "core.fct_session_versions",
    "core.fct_reschedules",
    "core.fct_inbound_calls",
    "core.fct_engagement_events",
    "core.dim_customers",
    "core.dim_tutors",
    "core.dim_subjects",
    "core.fct_tutor_days",
    "core.fct_hourly_demand",
    "marts.fct_session_flags",
)
"""The models that merge versions, and those that are built from them session by session; each after what it reads."""
RAW = KINDS
LEFT_OUT = NAMES_A_RUN | {
    "ingested_at": "the instant of arrival, which is what a schedule changes",
    "known_from": "the same, of one version",
    "known_until": "the same, of the version after it",
    "tutor_record_ingested_at": "the same",
}
"""Columns that are not compared, with the reason."""
BY_ORIGIN = "source"
"""Compared by the marketplace behind the feed: which of two feeds brought the same version first is a matter of
arrival."""

Say = Callable[[str], None]
Arrivals = list[tuple[datetime, list[Delivery]]]


def in_order(deliveries: Sequence[Delivery]) -> Arrivals:
    """Return the schedule in which everything arrives once and at once."""
    return _gathered(
        [(delivery.sent_at, delivery) for delivery in deliveries], IN_ORDER_EVERY, random.Random(0)
    )


def by_chance(deliveries: Sequence[Delivery], pick: random.Random) -> Arrivals:
    """Return a schedule in which everything arrives one to three times, late, and in any order."""
    arrivals = []
    for delivery in deliveries:
        for copy in range(pick.randint(1, COPIES)):
            delay = LONGEST_DELAY * pick.random() if pick.random() < 0.7 else timedelta()
            arrivals.append((delivery.sent_at + delay, _copy(delivery, copy, pick)))
    pick.shuffle(arrivals)
    return _gathered(arrivals, BY_CHANCE_EVERY, pick)


def _copy(delivery: Delivery, copy: int, pick: random.Random) -> Delivery:
    # A message that is sent again keeps its id, or its sender has forgotten that it was sent: both happen.
    if delivery.body is None or copy == 0 or pick.random() < 0.5:
        return delivery
    return replace(delivery, name=f"{delivery.name}_again{copy}")


def _gathered(
    arrivals: list[tuple[datetime, Delivery]], every: Sequence[timedelta], pick: random.Random
) -> Arrivals:
    """Group arrivals by the instant at which they are taken in, keeping their order within it."""
    gathered: Arrivals = []
    taken_at, last = BEGIN, max(at for at, _ in arrivals)
    while taken_at < last:
        since, taken_at = taken_at, taken_at + pick.choice(every)
        since = since if gathered else datetime.min.replace(tzinfo=UTC)
        gathered.append((taken_at, [delivery for at, delivery in arrivals if since < at <= taken_at]))
    return gathered


class Bench:
    """A lake in a folder of its own, without records before each schedule, and the SQL of the models by dbt."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o755)
        self._folder = folder
        self.lake: Lake = open_lake(folder / "lake")
        variables = day_vars(LAST_DAY)
        names = [model.split(".")[1] for model in MODELS]
        self.lake.dbt("seed", run_vars=variables)
        self.lake.dbt("run", "--select", "path:models/staging", "dim_dates", run_vars=variables)
        self.lake.dbt("compile", "--select", *names, run_vars=variables)
        compiled = self.lake.settings.state / "dbt" / "compiled" / "chalkline" / "models"
        self.sql = {
            model: _built_apart((compiled / f"{model.replace('.', '/')}.sql").read_text()) for model in MODELS
        }
        self.lake.close()
        self._make_database(KEPT, of="lake")

    def close(self) -> None:
        """Close the lake and stop its server."""
        self.lake.close()
        stop_postgres(self.lake.settings.state)

    def forget(self) -> None:
        """Go back to the lake before the first record.

        Its catalogue is copied, not emptied: what is deleted from it stays there as history, and each schedule would
        take longer than the one before.
        """
        self.lake.close()
        self._make_database("lake", of=KEPT)
        settings = self.lake.settings
        for written in (*Path(settings.lake_path).glob("raw_*"), Path(settings.personal_path)):
            shutil.rmtree(written, ignore_errors=True)
        self.lake = open_lake(settings.state)
        self.lake.writer.connection.execute("attach ':memory:' as built")
        for schema in {model.split(".")[0] for model in MODELS}:
            self.lake.writer.connection.execute(f"create schema built.{schema}")

    def _make_database(self, name: str, *, of: str) -> None:
        """Make a database of the embedded server anew, as a copy of another one."""
        postgres = open_postgres(self.lake.settings)
        engine_for(postgres.url("lake")).dispose()
        server = engine_for(postgres.url("operations")).connect()
        with server.execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text(f"drop database if exists {name} with (force)"))
            connection.execute(sa.text(f"create database {name} template {of}"))

    def take_in(self, arrivals: Arrivals, *, then: Callable[[datetime], None] = lambda _: None) -> None:
        """Take a whole schedule in, by the doors of a lane. then is called after each instant."""
        room = Path(tempfile.mkdtemp(prefix="landing-", dir=self._folder))
        landing = Landing(room)
        for at, deliveries in arrivals:
            self._take_in_at(at, deliveries, landing)
            then(at)
        shutil.rmtree(room)

    def _take_in_at(self, at: datetime, deliveries: list[Delivery], landing: Landing) -> None:
        lake, settings = self.lake.writer, self.lake.settings
        for delivery in deliveries:
            if delivery.body is not None:
                landing.store(Drop(delivery.name, at, delivery.body))
        take_messages(lake, landing, settings, clock=FixedClock(at))
        arrival = Arrival("rails.pull", at, business_date(at, settings.business_time_zone))
        for kind in RAW:
            # As a pull does: the pages of a kind that lie there are one batch.
            pages = [delivery.records for delivery in deliveries if delivery.kind == kind]
            if pages:
                take_in(lake, kind, [record for page in pages for record in page], arrival)

    def tables(self) -> dict[str, str]:
        """Build every model from the raw tables by its compiled SQL, and return the digests."""
        for model in MODELS:
            self.lake.writer.connection.execute(f"create or replace table built.{model} as {self.sql[model]}")
        return self._raw_digests() | {model: self._digest("built", model) for model in MODELS}

    def tables_of_dbt(self) -> dict[str, str]:
        """Return the digests of the tables as dbt left them in the lake."""
        return self._raw_digests() | {model: self._digest("lake", model) for model in MODELS}

    def _raw_digests(self) -> dict[str, str]:
        return {f"raw_marketplace.{kind}": self._digest("lake", f"raw_marketplace.{kind}") for kind in RAW}

    def _digest(self, database: str, relation: str) -> str:
        columns = self.lake.writer.read(
            "select column_name, data_type from duckdb_columns() where database_name = $database "
            "and schema_name || '.' || table_name = $relation order by column_name",
            {"database": database, "relation": relation},
        ).rows()
        compared = [(name, kind) for name, kind in columns if name not in LEFT_OUT]
        named = ", ".join(
            f"split_part({name}, '.', 1) as {name}" if name == BY_ORIGIN else f'"{name}"'
            for name, _ in compared
        )
        return digest(self.lake.read, f"(select {named} from {database}.{relation})", compared)

    def tables_day_by_day(self, arrivals: Arrivals) -> dict[str, str]:
        """Let dbt itself build the models after each day's arrivals, incrementally, and return the digests."""
        names = [model.split(".")[1] for model in MODELS]

        def build(at: datetime) -> None:
            day = business_date(at, self.lake.settings.business_time_zone)
            self.lake.dbt("run", "--select", *names, run_vars=day_vars(day))

        self.lake.dbt("run", "--select", "dim_dates", run_vars=day_vars(LAST_DAY))
        self.take_in(arrivals, then=build)
        self.lake.dbt("run", "--select", *names, run_vars=day_vars(LAST_DAY))
        return self.tables_of_dbt()


def _built_apart(sql: str) -> str:
    """Let compiled SQL read the models that were built beside the lake, and the lake for everything else."""
    for model in MODELS:
        schema, name = model.split(".")
        sql = sql.replace(f'"lake"."{schema}"."{name}"', f"built.{model}")
    return sql


@dataclass(frozen=True)
class Outcome:
    """How one schedule ended: the tables that differ from the run in order, none if it was survived."""

    number: int
    kind: str
    wrong: tuple[str, ...]
    seconds: float


@dataclass
class Schedules:
    """All schedules of a seed, run on one bench."""

    bench: Bench
    seed: int
    deliveries: list[Delivery] = field(init=False)
    golden: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Run the deliveries in order, once: what every schedule must end with."""
        self.deliveries = Marketplace(self.seed).deliveries()
        self.bench.forget()
        self.bench.take_in(in_order(self.deliveries))
        self.golden = self.bench.tables()

    def shuffled(self, number: int) -> Outcome:
        """Run one schedule by the compiled SQL."""
        began = time.monotonic()
        self.bench.forget()
        self.bench.take_in(self._schedule(number))
        return self._judge(number, "shuffled", self.bench.tables(), began)

    def day_by_day(self, number: int) -> Outcome:
        """Run one schedule by dbt, day by day."""
        began = time.monotonic()
        self.bench.forget()
        found = self.bench.tables_day_by_day(self._schedule(number))
        return self._judge(number, "built day by day", found, began)

    def _schedule(self, number: int) -> Arrivals:
        return by_chance(self.deliveries, random.Random(f"{self.seed}/{number}"))

    def _judge(self, number: int, kind: str, found: dict[str, str], began: float) -> Outcome:
        wrong = [
            f"{name}: {was} became {now}" for name, (was, now) in differences(self.golden, found).items()
        ]
        return Outcome(number, kind, tuple(wrong), time.monotonic() - began)


_schedules: Schedules | None = None
"""The bench of a worker process."""


def _open(folder: Path, seed: int) -> None:
    global _schedules
    bench = Bench(folder / str(os.getpid()))
    atexit.register(bench.close)
    _schedules = Schedules(bench, seed)


def _run(number: int, kind: str) -> Outcome:
    assert _schedules is not None
    return _schedules.shuffled(number) if kind == "shuffled" else _schedules.day_by_day(number)


def run(folder: Path, *, seed: int, schedules: int, daily: int, workers: int, say: Say) -> list[Outcome]:
    """Run so many schedules in so many processes, some of them day by day. Return how each ended."""
    work = [(number, "built day by day") for number in range(daily)]
    work += [(number, "shuffled") for number in range(schedules)]
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_open, initargs=(folder, seed)
    ) as pool:
        for done in as_completed([pool.submit(_run, *one) for one in work]):
            outcome = done.result()
            outcomes.append(outcome)
            if outcome.wrong:
                say(f"schedule {outcome.number} ({outcome.kind}) NOT survived: {' | '.join(outcome.wrong)}")
            if len(outcomes) % 25 == 0 or outcome.kind != "shuffled":
                say(f"{len(outcomes):>4} of {len(work)}  {outcome.kind}, {outcome.seconds:.1f} s")
    return outcomes


def _verdict(outcomes: Sequence[Outcome], seed: int, schedules: int, daily: int) -> Verdict:
    deliveries = Marketplace(seed).deliveries()
    messages = sum(delivery.body is not None for delivery in deliveries)
    shuffled = [outcome for outcome in outcomes if outcome.kind == "shuffled"]
    by_dbt = [outcome for outcome in outcomes if outcome.kind != "shuffled"]
    left_out = "; ".join(f"`{name}` ({reason})" for name, reason in LEFT_OUT.items())
    return Verdict(
        name="schedules",
        title="The same deliveries in another order leave the same tables",
        command=f"python -m tests.reliability.schedules --seed {seed} --schedules {schedules} --daily {daily}",
        held=sum(not outcome.wrong for outcome in outcomes),
        tried=len(outcomes),
        lines=[
            f"{messages} webhook messages and {len(deliveries) - messages} pulled pages of a small marketplace, each "
            f"delivered one to {COPIES} times, up to {LONGEST_DELAY.days} days late, in any order, against once and in "
            f"order: {len(RAW)} raw tables and {len(MODELS)} models.",
            "",
            f"- {_held(shuffled)} schedules, built by the models' compiled SQL",
            f"- {_held(by_dbt)} schedules, built by dbt day by day, incrementally",
            "",
            f"Not compared: {left_out}. `{BY_ORIGIN}` is compared by the marketplace behind the feed: which of two "
            "feeds brought the same version first is a matter of arrival.",
        ],
    )


def _held(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(not outcome.wrong for outcome in outcomes)} of {len(outcomes)}"


def main() -> int:
    """Run the schedules and print how they ended. Returns 1 unless every one left the tables of the run in order."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.schedules", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--daily", type=int, default=5, help="schedules that dbt builds day by day, besides")
    parser.add_argument("--workers", type=int, default=2, help="processes, each with a lake of its own")
    add_keep_option(parser)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chalk-"))
    folder.chmod(0o755)
    try:
        outcomes = run(
            folder,
            seed=arguments.seed,
            schedules=arguments.schedules,
            daily=arguments.daily,
            workers=arguments.workers,
            say=lambda line: print(line, flush=True),
        )
    finally:
        for state in folder.glob("*/lake"):
            stop_postgres(state)
        shutil.rmtree(folder, ignore_errors=True)
    verdict = _verdict(outcomes, arguments.seed, arguments.schedules, arguments.daily)
    return conclude(verdict, keep=arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
