"""The one way in: pull, webhook and import all end here.

Rows, refusals, the batch's account and the cursor are written in one transaction, so that a killed process
leaves all of them or none. The same record again is a duplicate and changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from data.clock import naive_utc
from data.contracts import CONTRACTS, Judged, Kind, judge
from data.lake.connection import LakeError
from data.lake.writer import LakeWriter

_GOAL = pl.Struct(
    {
        "goal_id": pl.String,
        "subject_id": pl.String,
        "set_at": pl.Datetime("us"),
        "completed_at": pl.Datetime("us"),
    }
)
_SLOT = pl.Struct({"weekday": pl.Int64, "start_time": pl.String, "end_time": pl.String})
_LEAVE = pl.Struct({"starts_on": pl.Date, "ends_on": pl.Date})


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
    """Where a batch came from and when: source names the feed, received_at is aware."""

    source: str
    received_at: datetime
    as_of_date: date


def take_in(
    lake: LakeWriter,
    kind: Kind,
    records: Sequence[Any],
    arrival: Arrival,
    *,
    cursor_at: datetime | None = None,
) -> Batch:
    """Validate records and add the new versions among them to the lake, in one transaction.

    A rerun with the same records loads nothing. Raises LakeError if the batch does not add up.
    """
    judged = judge(kind, records)
    batch_id = uuid.uuid4().hex
    ingested_at = naive_utc(arrival.received_at)
    rows = _frame(kind, judged)
    # Alone: of two feeds that bring the same version at once, the second must see what the first one stored.
    with lake.alone(f"intake.{kind}"), lake.transaction():
        fresh = _only_new(lake, kind, rows)
        _store_rows(lake, kind, fresh, source=arrival.source, batch_id=batch_id, ingested_at=ingested_at)
        _store_refusals(lake, kind, judged, source=arrival.source, batch_id=batch_id, ingested_at=ingested_at)
        batch = Batch(
            batch_id=batch_id,
            source=arrival.source,
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
            _save_cursor(lake, batch, cursor_at)
    return batch


def cursor_of(lake: LakeWriter, *, source: str, kind: Kind) -> datetime | None:
    """Return how far a feed has been read (naive UTC), or None when it never was. The newest word wins."""
    row = lake.connection.execute(
        "select cursor_at from lake.raw_quality.pull_cursors where source = $source and kind = $kind "
        "order by saved_at desc, cursor_at desc limit 1",
        {"source": source, "kind": kind},
    ).fetchone()
    return row[0] if row else None


def _frame(kind: Kind, judged: Judged) -> pl.DataFrame:
    frame = pl.DataFrame(judged.rows, schema_overrides=_overrides(kind, judged), infer_schema_length=None)
    if frame.is_empty():
        return frame
    return frame.unique(subset=[CONTRACTS[kind].key, "version_hash"], keep="first", maintain_order=True)


def _overrides(kind: Kind, judged: Judged) -> dict[str, Any]:
    if not judged.rows:
        return {}
    types: dict[str, Any] = {}
    for name in judged.rows[0]:
        if name.endswith("_at"):
            types[name] = pl.Datetime("us")
        elif name in ("student_rating", "tutor_rating"):
            types[name] = pl.Float64
        elif (
            name in ("reports_attendance", "reports_customer_attendance")
            or name.startswith("is_")
            or name in ("reported_late", "booked_followup")
        ):
            types[name] = pl.Boolean
        elif name == "reschedule_count":
            types[name] = pl.Int64
        else:
            types[name] = _NESTED.get(name, pl.String)
    return types


_NESTED: dict[str, Any] = {
    "goals": pl.List(_GOAL),
    "availability": pl.List(_SLOT),
    "leaves": pl.List(_LEAVE),
    "subjects": pl.List(pl.String),
}


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
    if contract.personal:
        personal = rows.select(contract.key, "version_hash", *sorted(contract.personal)).with_columns(stamp)
        present = pl.any_horizontal(pl.col(name).is_not_null() for name in sorted(contract.personal))
        lake.append(f"pii.{kind}", personal.filter(present))


def _store_refusals(
    lake: LakeWriter, kind: Kind, judged: Judged, *, source: str, batch_id: str, ingested_at: datetime
) -> None:
    if not judged.refusals:
        return
    refused = pl.DataFrame(
        [asdict(refusal) for refusal in judged.refusals],
        schema=dict.fromkeys(
            ("quarantine_id", "record_id", "field", "reason", "value", "record_json"), pl.String
        ),
    ).unique(subset="quarantine_id", keep="first", maintain_order=True)
    known = lake.read("select quarantine_id from lake.raw_quality.quarantined_records")
    fresh = refused.join(known, on="quarantine_id", how="anti")
    lake.append(
        "raw_quality.quarantined_records",
        fresh.drop("value", "record_json").with_columns(
            pl.lit(batch_id).alias("batch_id"),
            pl.lit(source).alias("source"),
            pl.lit(kind).alias("kind"),
            pl.lit(ingested_at).cast(pl.Datetime("us")).alias("first_seen_at"),
        ),
    )
    lake.append("pii.quarantined_records", fresh.select("quarantine_id", "value", "record_json"))


def _check_conservation(batch: Batch) -> None:
    accounted = batch.loaded_count + batch.duplicate_count + batch.quarantined_count
    if batch.read_count != accounted:
        raise LakeError(
            f"batch of {batch.kind} from {batch.source} read {batch.read_count} records but accounts for "
            f"{accounted}; nothing was stored"
        )


def _save_cursor(lake: LakeWriter, batch: Batch, cursor_at: datetime) -> None:
    row = {
        "source": batch.source,
        "kind": batch.kind,
        "cursor_at": cursor_at,
        "batch_id": batch.batch_id,
        "saved_at": batch.finished_at,
    }
    lake.append("raw_quality.pull_cursors", pl.DataFrame([row]))


def set_cursor(lake: LakeWriter, *, source: str, kind: Kind, cursor_at: datetime, saved_at: datetime) -> None:
    """Say that a feed is known up to an instant: after history came in by file, the pull goes on from there."""
    row = {
        "source": source,
        "kind": kind,
        "cursor_at": naive_utc(cursor_at),
        "batch_id": "set by hand",
        "saved_at": naive_utc(saved_at),
    }
    lake.append("raw_quality.pull_cursors", pl.DataFrame([row]))
