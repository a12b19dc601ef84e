"""The shape of what a source sends: which names its records have, and which types their values are.

Kept per batch and compared in the warehouse (marts.rpt_contract_drift), so that a new, missing or retyped field is
told before somebody misses it. Values are never kept here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl

from data.contracts import Kind
from data.contracts.corrections import known_fields
from data.lake.writer import LakeWriter

SAMPLE = 1_000
"""Records of a batch that are looked at: a change of shape touches all of them, and counting must stay cheap."""
MOST_FIELDS = 200
LONGEST_NAME = 100
_TYPES = {bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object"}


def shape_of(records: Sequence[Any]) -> dict[tuple[str, str], int]:
    """Return how often each field came with each type of value: null, boolean, number, text, list or object."""
    counts: Counter[tuple[str, str]] = Counter()
    for record in records[:SAMPLE]:
        if isinstance(record, dict):
            counts.update((_name(name), _type_of(value)) for name, value in record.items())
    return dict(counts.most_common(MOST_FIELDS))


def _name(name: Any) -> str:
    # A name is text of the source: what a store cannot hold is shown as a mark.
    return str(name).encode("utf-8", "replace").decode().replace("\x00", "\ufffd")[:LONGEST_NAME]


def _type_of(value: Any) -> str:
    # A file may bring days and instants of its own: JSON would write them as text.
    return "null" if value is None else _TYPES.get(type(value), "text")


def store_shape(
    lake: LakeWriter,
    kind: Kind,
    records: Sequence[Any],
    *,
    source: str,
    batch_id: str,
    seen_at: datetime,
) -> None:
    """Note the shape of a batch, in the caller's transaction. Grain: one row per batch, field and type."""
    understood = known_fields(kind)
    rows = [
        {
            "batch_id": batch_id,
            "source": source,
            "kind": kind,
            "field": field,
            "value_type": value_type,
            "is_understood": field in understood,
            "record_count": count,
            "sampled_count": min(len(records), SAMPLE),
            "seen_at": seen_at,
        }
        for (field, value_type), count in sorted(shape_of(records).items())
    ]
    if rows:
        lake.append("raw_quality.record_shapes", pl.DataFrame(rows))
