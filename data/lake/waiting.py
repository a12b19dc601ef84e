"""What waits in quarantine: the one definition of it, for replays, the command line and the Data health page.

What belongs here: reading refused records, through any gate that may open the personal catalogue. What does not:
storing and settling them (data.lake.quarantine), and why a record is refused (data.contracts).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import polars as pl

from data.contracts import Kind
from data.contracts.validation import RECORD_LIMIT, UNWRITABLE

Read = Callable[[str, Mapping[str, Any]], pl.DataFrame]
"""Runs one query with named parameters: the `read` of a writer, or the `query` of a reader for personal data."""


@dataclass(frozen=True)
class Scope:
    """Which refused records are meant. What is not said does not narrow it; times are naive UTC."""

    source: str | None = None
    kind: str | None = None
    field: str | None = None
    reason: str | None = None
    seen_until: datetime | None = None


@dataclass(frozen=True)
class QuarantinedRecord:
    """A record that was refused, as it came.

    is_whole is False where it was too long or too strange to be kept whole: it cannot be judged again.
    """

    quarantine_id: str
    source: str
    kind: Kind
    record_id: str | None
    field: str
    reason: str
    value: str | None
    record: Any
    is_whole: bool


# A record waits until it is settled, and again when it comes again after that; given up, it stays so. The
# warehouse says the same of the same tables (marts.rpt_quarantine); a test holds the two together.
_WAITING = """
    settled as (
        select
            quarantine_id,
            max(settled_at) as settled_at,
            bool_or(settlement = 'discarded') as is_discarded
        from lake.raw_quality.quarantine_settlements
        group by quarantine_id
    ),
    seen as (
        select quarantine_id, max(seen_at) as seen_at
        from lake.raw_quality.quarantine_sightings
        group by quarantine_id
    ),
    waiting as (
        select refused.*
        from lake.raw_quality.quarantined_records as refused
        left join settled using (quarantine_id)
        left join seen using (quarantine_id)
        where (settled.settled_at is null or (not settled.is_discarded and seen.seen_at > settled.settled_at))
            and ($source is null or refused.source = $source)
            and ($kind is null or refused.kind = $kind)
            and ($field is null or refused.field = $field)
            and ($reason is null or refused.reason = $reason)
            and ($seen_until is null or refused.first_seen_at <= $seen_until)
    )
"""


def waiting_list(read: Read, scope: Scope) -> pl.DataFrame:
    """Return what waits, oldest first, without its text.

    Grain: quarantine_id. Columns: source, kind, record_id, field, reason.
    """
    return read(
        f"""
        with {_WAITING}
        select quarantine_id, source, kind, record_id, field, reason
        from waiting
        order by first_seen_at, quarantine_id
        """,
        asdict(scope),
    )


def text_lengths(read: Read, quarantine_ids: Sequence[str]) -> dict[str, int]:
    """Return how many characters the text of each refused record has, so that nobody reads too much at once."""
    rows = read(
        "select quarantine_id, length(record_json) as length from pii.quarantined_records "
        "where quarantine_id in (select unnest($ids::varchar[])) and record_json is not null",
        {"ids": list(quarantine_ids)},
    )
    return dict(rows.iter_rows())


def waiting_records(read: Read, scope: Scope, *, limit: int) -> list[QuarantinedRecord]:
    """Return the first of what waits, oldest first, as it came."""
    return _records(
        read(
            f"""
            with {_WAITING}
            select
                waiting.quarantine_id, waiting.source, waiting.kind, waiting.record_id, waiting.field,
                waiting.reason, texts.value, texts.record_json
            from waiting
            left join pii.quarantined_records as texts using (quarantine_id)
            order by waiting.first_seen_at, waiting.quarantine_id
            limit $limit
            """,
            asdict(scope) | {"limit": limit},
        )
    )


def refused_records(read: Read, quarantine_ids: Sequence[str]) -> list[QuarantinedRecord]:
    """Return refused records by id, oldest first, whether they wait or not."""
    return _records(
        read(
            """
            select
                refused.quarantine_id, refused.source, refused.kind, refused.record_id, refused.field,
                refused.reason, texts.value, texts.record_json
            from lake.raw_quality.quarantined_records as refused
            left join pii.quarantined_records as texts using (quarantine_id)
            where refused.quarantine_id in (select unnest($ids::varchar[]))
            order by refused.first_seen_at, refused.quarantine_id
            """,
            {"ids": list(quarantine_ids)},
        )
    )


def causes(read: Read, *, with_settled: bool = False) -> pl.DataFrame:
    """Return the causes of refusals, those with the most waiting records first.

    Grain: source, kind, field and reason. Counts are of records, sightings of arrivals. Causes of which nothing waits
    are left out unless they are asked for.
    """
    nothing_narrows = asdict(Scope())
    return read(
        f"""
        with {_WAITING},
        arrivals as (
            select quarantine_id, count(*) as sightings, max(seen_at) as last_seen_at
            from lake.raw_quality.quarantine_sightings
            group by quarantine_id
        )
        select
            refused.source, refused.kind, refused.field, refused.reason,
            count(waiting.quarantine_id) as waiting,
            count(*) - count(waiting.quarantine_id) as settled,
            coalesce(sum(arrivals.sightings), 0)::bigint as sightings,
            min(refused.first_seen_at) as first_seen_at,
            max(coalesce(arrivals.last_seen_at, refused.first_seen_at)) as last_seen_at
        from lake.raw_quality.quarantined_records as refused
        left join waiting using (quarantine_id)
        left join arrivals using (quarantine_id)
        group by all
        having waiting > 0 or $with_settled
        order by waiting desc, settled desc, source, kind, field, reason
        """,
        nothing_narrows | {"with_settled": with_settled},
    )


def _records(rows: pl.DataFrame) -> list[QuarantinedRecord]:
    return [
        QuarantinedRecord(**row, record=record, is_whole=is_whole)
        for row in rows.to_dicts()
        for record, is_whole in (_read_back(row.pop("record_json")),)
    ]


def _read_back(text: str | None) -> tuple[Any, bool]:
    # What could not be written down stands there as words: judged again, the words would pass for the value.
    if text is None or len(text) >= RECORD_LIMIT or UNWRITABLE in text:
        return None, False
    try:
        return json.loads(text), True
    except (ValueError, RecursionError):
        return None, False
