"""Piece `aggregates`: the formulas' heaviest aggregates on the lake against the same SQL on Postgres."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import duckdb
import sqlalchemy as sa

from bench.measure import Figure, in_turns, timed
from data.lake.writer import LakeWriter, open_writer
from data.postgres import Postgres, engine_for, open_postgres

if TYPE_CHECKING:
    from bench.__main__ import Bench

DATABASE = "bench"
WORK_MEMORY = "256MB"
"""What a sort or a hash of Postgres may take. Its default of 4 MB would spill, and nobody would leave it so."""
PAIRS_PER_ROUND = 2
"""These take parts of a second, so they are repeated more often than the long pieces."""

COPIES = {
    "fct_sessions": """
        select session_id, tutor_id, customer_id, subject_id, status, rescheduled_by, session_date,
            scheduled_start_at, late_minutes, student_rating
        from lake.core.fct_sessions""",
    "fct_tutor_days": """
        select tutor_id, date, sessions_scheduled::integer as sessions_scheduled,
            sessions_completed::integer as sessions_completed, tutor_reschedules::integer as tutor_reschedules,
            no_shows::integer as no_shows, late_measured_sessions::integer as late_measured_sessions,
            avg_late_minutes
        from lake.core.fct_tutor_days""",
}
INDEXES = (
    "alter table fct_sessions add primary key (session_id)",
    "create index on fct_sessions (tutor_id, session_date)",
    "create index on fct_sessions (customer_id, session_date)",
    "create index on fct_sessions (session_date)",
    "alter table fct_tutor_days add primary key (tutor_id, date)",
    "create index on fct_tutor_days (date)",
)


@dataclass(frozen=True)
class Question:
    """One aggregate, written so that both engines read the same text, and what its answer is checked by."""

    name: str
    sql: str
    checked_by: str


QUESTIONS = (
    Question(
        "a day of each tutor (S24)",
        """
        select tutor_id, session_date,
            count(*) filter (where status = 'completed') as sessions_completed,
            count(*) filter (where rescheduled_by = 'tutor') as tutor_reschedules,
            count(*) filter (where status = 'tutor_no_show') as no_shows,
            avg(late_minutes) filter (where status = 'completed') as avg_late_minutes
        from {schema}fct_sessions
        where tutor_id is not null
        group by tutor_id, session_date
        """,
        "sum(sessions_completed + coalesce(avg_late_minutes, 0))",
    ),
    Question(
        "tutor health over seven days, every day (THS)",
        """
        select scored.tutor_id, scored.date as as_of_date,
            greatest(0, 100
                - 40.0 * sum(days.tutor_reschedules) / nullif(sum(days.sessions_scheduled), 0)
                - 30.0 * sum(days.no_shows) / nullif(sum(days.sessions_scheduled), 0)
                - 30.0 * least(1, coalesce(
                    sum(days.avg_late_minutes * days.late_measured_sessions
                        * power(0.5::double precision, (scored.date - days.date) / 3.0::double precision))
                    / nullif(sum(days.late_measured_sessions
                        * power(0.5::double precision, (scored.date - days.date) / 3.0::double precision)), 0),
                    0) / 15)) as score
        from {schema}fct_tutor_days as scored
        inner join {schema}fct_tutor_days as days
            on scored.tutor_id = days.tutor_id and days.date between scored.date - 6 and scored.date
        group by scored.tutor_id, scored.date
        """,
        "sum(coalesce(score, 0))",
    ),
    Question(
        "sessions a week of each customer over 30 days, each of the last 30 days",
        """
        select sessions.customer_id, as_of_dates.as_of_date, count(*) / 30.0 * 7 as sessions_per_week
        from (
            select distinct date as as_of_date from {schema}fct_tutor_days
            where date > (select max(date) - 30 from {schema}fct_tutor_days)
        ) as as_of_dates
        inner join {schema}fct_sessions as sessions
            on sessions.session_date between as_of_dates.as_of_date - 29 and as_of_dates.as_of_date
        where sessions.customer_id is not null and sessions.status = 'completed'
        group by sessions.customer_id, as_of_dates.as_of_date
        """,
        "sum(sessions_per_week)",
    ),
)


def measure(bench: Bench) -> list[Figure]:
    """Compare each aggregate on the lake with Postgres. Raises RuntimeError if the two answer differently."""
    state, _ = bench.prepared(bench.profile)
    settings = state.settings()
    postgres = open_postgres(settings)
    figures = []
    with open_writer(settings) as lake:
        bench.tell("copy to Postgres")
        sizes = copy_to_postgres(lake, postgres)
        with engine_for(scratch_address(postgres)).connect() as scratch:
            scratch = scratch.execution_options(isolation_level="AUTOCOMMIT")
            scratch.execute(sa.text(f"set work_mem = '{WORK_MEMORY}'"))
            for question in QUESTIONS:
                figures.append(_compare(bench, question, lake.connection, scratch, sizes))
    return figures


def _compare(
    bench: Bench,
    question: Question,
    lake: duckdb.DuckDBPyConnection,
    scratch: sa.Connection,
    sizes: dict[str, int],
) -> Figure:
    on_lake = partial(answer, question, "lake.core.", lambda sql: lake.execute(sql).fetchone())
    on_postgres = partial(answer, question, "", lambda sql: _rows_of(scratch, sql))
    first, second = on_lake()[1], on_postgres()[1]
    if not _agree(first, second):
        raise RuntimeError(f"{question.name}: the lake answers {first}, Postgres {second}")
    ours, theirs = in_turns(
        lambda: on_lake()[0],
        lambda: on_postgres()[0],
        pairs=PAIRS_PER_ROUND * bench.pairs,
        tell=lambda what: bench.tell(f"{question.name}, {what}"),
    )
    return Figure(
        piece="aggregates",
        name=question.name,
        product="lake, answer kept in a temporary table",
        yardstick=f"Postgres, indexed and analysed, work_mem {WORK_MEMORY}",
        product_seconds=ours,
        yardstick_seconds=theirs,
        notes=[
            f"{first[0]:,} rows of answer, equal on both; from "
            + " and ".join(f"{count:,} {table}" for table, count in sizes.items())
            + f"; Postgres is {statistics.median(theirs) / statistics.median(ours):.1f} times as long"
        ],
    )


def answer(
    question: Question, schema: str, execute: Callable[[str], tuple[object, ...] | None]
) -> tuple[float, tuple[int, float]]:
    """Answer once. Returns the seconds, and the answer's number of rows and check sum."""
    execute("drop table if exists answer")
    seconds = timed(lambda: execute(f"create temporary table answer as {question.sql.format(schema=schema)}"))
    row = execute(f"select count(*), {question.checked_by} from answer")
    assert row is not None
    return seconds, (int(str(row[0])), float(str(row[1])))


def _rows_of(connection: sa.Connection, sql: str) -> tuple[object, ...] | None:
    # As the driver takes it: a cast is no parameter.
    result = connection.exec_driver_sql(sql)
    row = result.fetchone() if result.returns_rows else None
    return tuple(row) if row is not None else None


def _agree(first: tuple[int, float], second: tuple[int, float]) -> bool:
    return first[0] == second[0] and abs(first[1] - second[1]) <= 1e-9 * max(1.0, abs(first[1]))


def scratch_address(postgres: Postgres) -> sa.URL:
    """Return the address of the scratch database on the embedded server."""
    return postgres.base.set(drivername="postgresql+psycopg2", database=DATABASE)


def copy_to_postgres(lake: LakeWriter, postgres: Postgres) -> dict[str, int]:
    """Copy what is asked about into a new scratch database, index and analyse it. Returns the row counts."""
    maintenance = engine_for(postgres.base.set(drivername="postgresql+psycopg2"))
    with maintenance.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"drop database if exists {DATABASE} with (force)"))
        connection.execute(sa.text(f"create database {DATABASE}"))
    host = postgres.base.host or postgres.base.query.get("host")
    address = f"dbname={DATABASE} user={postgres.base.username} host={host}"
    if postgres.base.port:
        address += f" port={postgres.base.port}"
    lake.connection.execute(f"attach '{address}' as scratch (type postgres)")
    sizes = {}
    try:
        for table, select in COPIES.items():
            lake.connection.execute(f"create table scratch.{table} as {select}")
            row = lake.connection.execute(f"select count(*) from lake.core.{table}").fetchone()
            assert row is not None
            sizes[table] = int(row[0])
    finally:
        lake.connection.execute("detach scratch")
    with engine_for(scratch_address(postgres)).connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in INDEXES:
            connection.execute(sa.text(statement))
        connection.execute(sa.text("vacuum analyze"))
    return sizes
