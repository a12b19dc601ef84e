"""What is in a lake, in few words: one digest per table, so that two lakes can be compared row by row without both.

    python -m tests.reliability.digests --state FOLDER [--snapshot N]

A digest is the number of rows, the exclusive or of their hashes, and the sum of their hashes: the first two as the
order of rows must not matter, the third as two equal rows would cancel out in the second. Floats are rounded at nine
digits. Columns that name the run which wrote a row differ between equal runs: they are left out, and listed below.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from data.lake.reader import LakeReader
from data.lake.writer import LakeWriter
from data.postgres import open_postgres
from data.settings import Settings

SCHEMAS = ("core", "features", "intermediate", "marts", "ml", "raw_marketplace", "rulebook")
FLOAT_DIGITS = 9

NAMES_A_RUN = {
    "batch_id": "names the batch that brought a row; drawn anew for each batch",
    "loaded_snapshot_id": "counts the lake's commits, and a killed run has committed before",
    "record_snapshot_id": "the same, for the register of tutors",
    "episode_id": "drawn anew when an episode opens",
}
"""Columns left out wherever they are, with the reason."""

ACCOUNT_OF_RUNS = {
    "marts.rpt_ingestion_quality": (
        "batch_count",
        "read_count",
        "duplicate_count",
        "quarantined_count",
        "quarantined_rate",
    ),
    "marts.fct_record_shapes": ("record_count", "sampled_count"),
    "marts.rpt_source_freshness": ("source_ahead_seconds",),
    "marts.rpt_source_quality": ("read_count", "try_count"),
}
"""Columns that count or time what runs did: a rerun reads again what the killed run had read, and says so."""

Query = Callable[[str], pl.DataFrame]


def relations(query: Query) -> dict[str, list[tuple[str, str]]]:
    """Return every relation that is compared, with its compared columns and their types."""
    listed = ", ".join(f"'{schema}'" for schema in SCHEMAS)
    rows = query(
        "select if(table_catalog = 'pii', table_catalog, table_schema), table_name, column_name, data_type "
        "from information_schema.columns "
        f"where (table_catalog = 'lake' and table_schema in ({listed})) or table_catalog = 'pii' order by all"
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for schema, table, column, kind in rows.iter_rows():
        name = f"{schema}.{table}"
        columns = found.setdefault(name, [])
        if column not in NAMES_A_RUN and column not in ACCOUNT_OF_RUNS.get(name, ()):
            columns.append((column, kind))
    return found


def digest(query: Query, relation: str, columns: list[tuple[str, str]]) -> str:
    """Return the digest of one relation, whatever the order of its rows."""
    row = ", ".join(_hashed(column, kind) for column, kind in columns)
    count, mixed, added = query(
        "select count(*), bit_xor(one.digest), sum(one.digest) "
        f"from (select hash({row}) as digest from {relation}) as one"
    ).row(0)
    return f"{count} rows {int(mixed or 0):016x} {int(added or 0):x}"


def _hashed(column: str, kind: str) -> str:
    # Zero is added because minus zero is equal to zero but does not hash like it.
    return f'round("{column}", {FLOAT_DIGITS}) + 0.0' if kind in ("DOUBLE", "FLOAT") else f'"{column}"'


def digests(query: Query) -> dict[str, str]:
    """Return the digest of every relation by name."""
    return {name: digest(query, name, columns) for name, columns in relations(query).items()}


def lake_digests(settings: Settings, *, snapshot: int | None = None) -> dict[str, str]:
    """Return the digests of a lake as it is now, or at a snapshot, through the gate that readers use.

    Personal data has no snapshots of its own that anybody can name: it is compared as it is now, or not at all.
    """
    personal = snapshot is None
    reader = LakeReader(
        settings, snapshot_id=newest_snapshot(settings) if snapshot is None else snapshot, personal=personal
    )
    try:
        return digests(reader.query)
    finally:
        reader.close()


def newest_snapshot(settings: Settings) -> int:
    """Return the newest snapshot of a lake, published or not."""
    writer = LakeWriter.attach(settings, open_postgres(settings))
    try:
        return writer.snapshot_id()
    finally:
        writer.close()


def differences(left: Mapping[str, str], right: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the relations whose digests differ, with both digests; "absent" where a side has no such relation."""
    return {
        name: (left.get(name, "absent"), right.get(name, "absent"))
        for name in sorted(left.keys() | right.keys())
        if left.get(name) != right.get(name)
    }


def main() -> None:
    """Print the digests of a lake as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.digests", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--snapshot", type=int)
    arguments = parser.parse_args()
    settings = Settings(state=arguments.state.absolute())
    print(json.dumps(lake_digests(settings, snapshot=arguments.snapshot), indent=1))


if __name__ == "__main__":
    main()
