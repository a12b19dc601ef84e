"""Reads a query before a reader runs it: one SELECT over the lake's own tables, and nothing else.

What belongs here: what a query may name. What does not: files, time and memory, which the connection itself guards.
A query is judged by DuckDB's own parse tree, never by its text, so spelling it otherwise does not help.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from data.lake.connection import PERSONAL, SCHEMAS, LakeError

TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})
"""Functions that may stand for a table. Others read files, the catalogue, the settings, or run text as SQL."""
HIDDEN_FUNCTIONS = frozenset({"current_setting", "getenv", "getvariable", "write_log"})
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SYSTEM_NAME = re.compile(r"duckdb_|pragma_|sqlite_|pg_|information_schema", re.I)
READABLE = frozenset({*SCHEMAS, "information_schema"})
"""Schemas of the lake. Beside them pii.customers and the like, whose first name is a catalogue."""


def check_query(connection: duckdb.DuckDBPyConnection, sql: str, *, personal: bool) -> None:
    """Raise LakeError, saying why, unless the text is one SELECT that a reader may run."""
    row = connection.execute("select json_serialize_sql($sql)", {"sql": sql}).fetchone()
    assert row is not None
    tree = json.loads(row[0])
    if tree["error"]:
        if tree["error_type"] == "not implemented":
            raise LakeError("a reader runs SELECT only")
        raise LakeError(f"the query is not SQL: {tree['error_message']}")
    if len(tree["statements"]) != 1:
        raise LakeError("a reader runs one query at a time")
    nodes = list(_nodes(tree["statements"]))
    named = {entry["key"].lower() for node in nodes for entry in node.get("cte_map", {}).get("map", ())}
    for node in nodes:
        _check_node(node, named, personal=personal)


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    # A stack of our own: a query nests deeper than Python does.
    waiting = [part]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _check_node(node: dict[str, Any], named: set[str], *, personal: bool) -> None:
    kind = node.get("type")
    if kind == "TABLE_FUNCTION":
        name = node["function"].get("function_name", "").lower()
        if name not in TABLE_FUNCTIONS:
            raise LakeError(f"{name} is not for readers; ask for core, marts or rulebook")
    elif node.get("function_name", "").lower() in HIDDEN_FUNCTIONS:
        raise LakeError(f"{node['function_name']} is not for readers")
    elif kind in ("BASE_TABLE", "SHOW_REF"):
        _check_table(node, named, personal=personal)


def _check_table(node: dict[str, Any], named: set[str], *, personal: bool) -> None:
    catalog, schema, name = (node[part].lower() for part in ("catalog_name", "schema_name", "table_name"))
    if node.get("at_clause"):
        raise LakeError("a reader sees one version; open another version to see that one")
    if PERSONAL in (catalog, schema) and not personal:
        raise LakeError("personal data is joined at the door, by role")
    if node["type"] == "SHOW_REF" and not schema:
        return
    if catalog in ("", "lake") and schema in READABLE:
        return
    if not catalog and schema == PERSONAL:
        return
    if not catalog and not schema and name in named and _is_plain(name):
        return
    raise LakeError(
        f"{schema or name} is not for readers; name tables as schema.table of core, marts or rulebook"
    )


def _is_plain(name: str) -> bool:
    # A query may call a part of itself anything but a file or a view of DuckDB's own.
    return bool(PLAIN_NAME.fullmatch(name)) and not SYSTEM_NAME.match(name)
