"""What an expression cannot convert stays as it was written: the record is refused with it, and the others come in.

What belongs here: which columns an expression reads, and SQL that puts what stands in the file in place of its value.
What does not: finding the rows (sandbox.py), and when it is done (fields.py).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import duckdb

from assets.ingest.reading import LINE, quote_name


def stands_on(lines: Collection[int]) -> str:
    """Return a condition: the row is one of these lines of the file."""
    return f"{quote_name(LINE)} in ({', '.join(map(str, lines))})" if lines else "false"


def as_written(columns: Sequence[str]) -> str:
    """Return SQL that gives what stands in these columns, NULL where nothing does."""
    listed = ", ".join(f"{quote_name(column)}::varchar" for column in columns)
    return f"nullif(concat_ws(' ', {listed}), '')" if listed else "null::varchar"


def names_in(connection: duckdb.DuckDBPyConnection, expression: str) -> list[str]:
    """Return the names that an expression reads, in the order in which it reads them, each once."""
    statement = f"select ({expression}\n) as value from events"
    row = connection.execute("select json_serialize_sql($statement)", {"statement": statement}).fetchone()
    assert row is not None
    return list(dict.fromkeys(_column_names(json.loads(row[0]))))


def _column_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("class") == "COLUMN_REF":
            yield str(node["column_names"][0])
        for part in node.values():
            yield from _column_names(part)
    elif isinstance(node, list):
        for part in node:
            yield from _column_names(part)
