"""Records that were refused: each kept once with its reason, every sighting noted, and how it was settled.

What belongs here: storing and settling them. What does not: reading them (data.lake.waiting), why a record is refused
(data.contracts), and who asks for it to be judged again (data.operations.corrections).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal

import polars as pl

from data.contracts import CONTRACTS, Kind, Refusal
from data.lake.waiting import Scope, refused_records, waiting_list
from data.lake.writer import LakeWriter
from data.landing import TRACK_SOURCE, WEBHOOK_SOURCE

Settlement = Literal["loaded", "duplicate", "superseded", "overtaken", "discarded"]
"""How a refused record ended. loaded: taken in after a mend. duplicate: known already by another way. superseded:
judged again and refused for another reason, under which it waits now. overtaken: its source brought a valid record that
says at least as much. discarded: given up by somebody, for good."""

WHOLE_STATES = frozenset({"rails.pull"})
"""Feeds that always give the whole state of a record: a newer one says all that an older one did."""
MESSAGES = frozenset({WEBHOOK_SOURCE, TRACK_SOURCE})
"""Feeds whose records may each tell a part: a newer one does not replace an older one."""

_REFUSAL = dict.fromkeys(
    ("quarantine_id", "record_id", "field", "reason", "value", "record_json"), pl.String()
)


def store_refusals(
    lake: LakeWriter,
    kind: Kind,
    refusals: Sequence[Refusal],
    *,
    source: str,
    batch_id: str,
    seen_at: datetime,
    is_replay: bool = False,
) -> None:
    """Note what was refused, in the caller's transaction: the record once, and each time that it was seen. Its text is
    personal and stored before (data.lake.personal).

    A record that was settled and comes again is refused again: its newest sighting is later than its settlement. A
    replay sees nothing anew: there only what does not wait yet is noted, so that it waits from now on.
    """
    if not refusals:
        return
    refused = pl.DataFrame([asdict(refusal) for refusal in refusals], schema=_REFUSAL).unique(
        subset="quarantine_id", keep="first", maintain_order=True
    )
    fresh = refused.join(_known(lake, refused), on="quarantine_id", how="anti")
    seen = refused
    if is_replay:
        waiting = waiting_list(lake.read, Scope(source=source, kind=kind)).select("quarantine_id")
        seen = refused.join(waiting, on="quarantine_id", how="anti")
    told = [
        pl.lit(batch_id).alias("batch_id"),
        pl.lit(source).alias("source"),
        pl.lit(kind).alias("kind"),
    ]
    stamp = pl.lit(seen_at).cast(pl.Datetime("us"))
    lake.append(
        "raw_quality.quarantined_records",
        fresh.drop("value", "record_json").with_columns(*told, stamp.alias("first_seen_at")),
    )
    lake.append(
        "raw_quality.quarantine_sightings",
        seen.select("quarantine_id").with_columns(*told, stamp.alias("seen_at")),
    )


def _known(lake: LakeWriter, refused: pl.DataFrame) -> pl.DataFrame:
    lake.connection.register("incoming_refusals", refused.select("quarantine_id"))
    try:
        return lake.read(
            "select quarantine_id from lake.raw_quality.quarantined_records "
            "where quarantine_id in (select quarantine_id from incoming_refusals)"
        )
    finally:
        lake.connection.unregister("incoming_refusals")


def settle(
    lake: LakeWriter, quarantine_ids: Sequence[str], settlement: Settlement, *, by: str, settled_at: datetime
) -> None:
    """Say how refused records ended (naive UTC), in the caller's transaction. They wait no longer."""
    lake.append(
        "raw_quality.quarantine_settlements",
        pl.DataFrame(
            {
                "quarantine_id": list(quarantine_ids),
                "settlement": [settlement] * len(quarantine_ids),
                "settled_by": [by] * len(quarantine_ids),
                "settled_at": pl.Series([settled_at] * len(quarantine_ids), dtype=pl.Datetime("us")),
            }
        ),
    )


def discard(lake: LakeWriter, scope: Scope, *, by: str, discarded_at: datetime) -> int:
    """Give up what waits in a scope, in one transaction, and return how many records. Their text is kept."""
    waiting = waiting_list(lake.read, scope)["quarantine_id"].to_list()
    with lake.transaction():
        settle(lake, waiting, "discarded", by=by, settled_at=discarded_at)
    return len(waiting)


def settle_overtaken(
    lake: LakeWriter, kind: Kind, rows: pl.DataFrame, *, source: str, settled_at: datetime
) -> None:
    """Settle what waits of a source under the ids of valid rows that it brings now, in the caller's transaction.

    This is how a file that is imported again by a mended mapping, and a source that mended itself, clear up behind
    themselves. Without a waiting record under these ids it costs one look at the list of refusals.
    """
    if rows.is_empty():
        return
    key = CONTRACTS[kind].key
    lake.connection.register("incoming_ids", rows.select(pl.col(key).alias("record_id")).unique())
    try:
        candidates = lake.read(
            "select refused.quarantine_id from lake.raw_quality.quarantined_records as refused "
            "where refused.source = $source and refused.kind = $kind "
            "and refused.record_id in (select record_id from incoming_ids)",
            {"source": source, "kind": kind},
        )
    finally:
        lake.connection.unregister("incoming_ids")
    if candidates.is_empty():
        return
    waiting = waiting_list(lake.read, Scope(source=source, kind=kind)).join(
        candidates, on="quarantine_id", how="semi"
    )
    known: dict[str, list[datetime]] = {}
    for record_id, updated_at in rows.select(key, "updated_at").iter_rows():
        known.setdefault(record_id, []).append(updated_at)
    overtaken = [
        one.quarantine_id
        for one in refused_records(lake.read, waiting["quarantine_id"].to_list())
        if any(_says_as_much(source, at, _time_of(one.record)) for at in known.get((one.record_id or ""), ()))
    ]
    settle(lake, overtaken, "overtaken", by="intake", settled_at=settled_at)


def _says_as_much(source: str, known_at: datetime, refused_at: datetime | None) -> bool:
    """Whether a valid record says at least what a refused one with its id said."""
    if refused_at is None:
        # A page or a file gives the present state; a message without a readable time may be any of many.
        return source not in MESSAGES
    return known_at == refused_at or (known_at > refused_at and source in WHOLE_STATES)


def _time_of(record: Any) -> datetime | None:
    text = record.get("updated_at") if isinstance(record, dict) else None
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
        return instant.astimezone(UTC).replace(tzinfo=None) if instant and instant.tzinfo else None
    except (ValueError, OverflowError):
        return None
