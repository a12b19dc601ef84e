"""The one way in: pull, webhook, import and replay all end here.

Rows, refusals, the batch's account and the cursor are written in one transaction, so that a killed process
leaves all of them or none. Their personal texts go before them into a catalogue of their own. The same record again
is a duplicate and changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, cast

import polars as pl

from data.clock import naive_utc
from data.contracts import CONTRACTS, Correction, Judged, Kind, judge
from data.failpoints import failpoint
from data.lake.connection import LakeError
from data.lake.cursors import save_cursor
from data.lake.personal import store_personal, store_refused_texts
from data.lake.quarantine import settle_overtaken, store_refusals
from data.lake.row_types import row_schema
from data.lake.shapes import store_shape
from data.lake.writer import LakeWriter


@dataclass(frozen=True)
class Batch:
    """The account of one batch. read_count = loaded_count + duplicate_count + quarantined_count, always."""

    batch_id: str
    source: str
    kind: str
    started_at: datetime
    finished_at: datetime
    as_of_date: date
    read_count: int
    loaded_count: int
    duplicate_count: int
    quarantined_count: int


@dataclass(frozen=True)
class Arrival:
    """Where a batch came from and when: source names the feed, received_at is aware.

    corrections are what was decided about the habits of this source: applied before a record is judged. is_replay says
    that nothing came: records of the quarantine are judged again.
    """

    source: str
    received_at: datetime
    as_of_date: date
    corrections: tuple[Correction, ...] = ()
    is_replay: bool = False


def take_in(
    lake: LakeWriter,
    kind: Kind,
    records: Sequence[Any],
    arrival: Arrival,
    *,
    cursor_at: datetime | None = None,
    also: Callable[[Batch], None] = lambda _: None,
) -> Batch:
    """Validate records and add the new versions among them to the lake, in one transaction.

    A rerun with the same records loads nothing. also writes what must be true together with the batch, in the same
    transaction. Raises LakeError if the batch does not add up.
    """
    judged = judge(kind, records, corrections=arrival.corrections)
    batch_id = uuid.uuid4().hex
    ingested_at = naive_utc(arrival.received_at)
    rows = _frame(kind, judged)
    where = {"source": arrival.source, "batch_id": batch_id}
    # Alone: of two feeds that bring the same version at once, the second must see what the first one stored.
    with ExitStack() as held:
        held.enter_context(lake.alone(f"intake.{kind}"))
        fresh = _only_new(lake, kind, rows)
        # First, and in transactions of their own: one transaction writes one catalogue.
        store_personal(lake, kind, fresh, ingested_at=ingested_at)
        store_refused_texts(lake, judged.refusals)
        failpoint("intake.personal_written")
        held.enter_context(lake.transaction())
        _store_rows(lake, kind, fresh, **where, ingested_at=ingested_at)
        failpoint("intake.rows_written")
        if not arrival.is_replay:
            settle_overtaken(lake, kind, rows, source=arrival.source, settled_at=ingested_at)
            store_shape(lake, kind, records, **where, seen_at=ingested_at)
        store_refusals(lake, kind, judged.refusals, **where, seen_at=ingested_at, is_replay=arrival.is_replay)
        batch = Batch(
            **where,
            kind=kind,
            started_at=ingested_at,
            finished_at=ingested_at,
            as_of_date=arrival.as_of_date,
            read_count=len(records),
            loaded_count=fresh.height,
            duplicate_count=len(judged.rows) - fresh.height,
            quarantined_count=len(judged.refusals),
        )
        _check_conservation(batch)
        lake.append("raw_quality.ingestion_batches", pl.DataFrame([asdict(batch)]))
        if cursor_at is not None:
            save_cursor(lake, **where, kind=kind, cursor_at=cursor_at, saved_at=ingested_at)
        also(batch)
        failpoint("intake.before_commit")
    failpoint("intake.after_commit")
    return batch


def loaded_versions(lake: LakeWriter, batch: Batch) -> set[tuple[str, str]]:
    """Return id and version_hash of the rows that a batch loaded, also within its own transaction."""
    if not batch.loaded_count:
        return set()
    key = CONTRACTS[cast(Kind, batch.kind)].key
    rows = lake.connection.execute(
        f"select {key}, version_hash from lake.raw_marketplace.{batch.kind} "
        "where batch_id = $batch_id and ingested_at = $ingested_at",
        {"batch_id": batch.batch_id, "ingested_at": batch.started_at},
    ).fetchall()
    return {(identifier, version) for identifier, version in rows}


def _frame(kind: Kind, judged: Judged) -> pl.DataFrame:
    frame = pl.DataFrame(judged.rows, schema=row_schema(kind))
    return frame.unique(subset=[CONTRACTS[kind].key, "version_hash"], keep="first", maintain_order=True)


def _only_new(lake: LakeWriter, kind: Kind, rows: pl.DataFrame) -> pl.DataFrame:
    if rows.is_empty():
        return rows
    key = CONTRACTS[kind].key
    lake.connection.register("incoming_keys", rows.select(key, "version_hash"))
    try:
        known = lake.connection.execute(
            f"select stored.{key}, stored.version_hash from lake.raw_marketplace.{kind} as stored "
            f"where stored.{key} between $low and $high and exists (select 1 from incoming_keys "
            f"where incoming_keys.{key} = stored.{key} and incoming_keys.version_hash = stored.version_hash)",
            {"low": rows[key].min(), "high": rows[key].max()},
        ).pl()
    finally:
        lake.connection.unregister("incoming_keys")
    return rows.join(known, on=[key, "version_hash"], how="anti") if known.height else rows


def _store_rows(
    lake: LakeWriter, kind: Kind, rows: pl.DataFrame, *, source: str, batch_id: str, ingested_at: datetime
) -> None:
    if rows.is_empty():
        return
    contract = CONTRACTS[kind]
    stamp = pl.lit(ingested_at).cast(pl.Datetime("us")).alias("ingested_at")
    lake.append(
        f"raw_marketplace.{kind}",
        rows.drop(contract.personal).with_columns(
            pl.lit(source).alias("source"), pl.lit(batch_id).alias("batch_id"), stamp
        ),
    )


def _check_conservation(batch: Batch) -> None:
    accounted = batch.loaded_count + batch.duplicate_count + batch.quarantined_count
    if batch.read_count != accounted:
        raise LakeError(
            f"batch of {batch.kind} from {batch.source} read {batch.read_count} records but accounts for "
            f"{accounted}; nothing was stored"
        )
