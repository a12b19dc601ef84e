"""Records, arrivals and looks into the lake, for the tests of its gates."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from data.lake.intake import Arrival, Batch, take_in
from data.lake.writer import LakeWriter, qualified
from data.postgres import Postgres, engine_for

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def arrival(source: str = "rails.pull", at: datetime = NOON) -> Arrival:
    return Arrival(source, at, date(2026, 3, 1))


def a_session(session_id: str = "s1", **changes: Any) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "tutor_id": "t1",
        "customer_id": "c1",
        "status": "finished",
        "scheduled_start_at": "2026-03-01T10:00:00Z",
        "updated_at": "2026-03-01T11:00:00Z",
    } | changes


def sessions(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [a_session(f"s{number:05}", **changes) for number in range(count)]


def bring(lake: LakeWriter, *records: Any, source: str = "rails.pull", at: datetime = NOON) -> Batch:
    batch = take_in(lake, "sessions", list(records), arrival(source, at))
    assert batch.read_count == batch.loaded_count + batch.duplicate_count + batch.quarantined_count
    return batch


def count(lake: LakeWriter, relation: str) -> int:
    return int(lake.read(f"select count(*) as n from {qualified(relation)}")["n"][0])


def rows(lake: LakeWriter, relation: str, order: str) -> pl.DataFrame:
    return lake.read(f"select * from {qualified(relation)} order by {order}")


def catalogue_text(postgres: Postgres) -> dict[str, str]:
    """Everything that the catalogues hold, by schema and table."""
    with engine_for(postgres.url("lake")).connect() as connection:
        names = connection.execute(
            sa.text(
                "select table_schema || '.' || table_name from information_schema.tables "
                "where table_schema in ('public', 'pii_catalogue')"
            )
        ).scalars()
        return {
            name: "\n".join(connection.execute(sa.text(f"select t::text from {name} as t")).scalars())
            for name in list(names)
        }
