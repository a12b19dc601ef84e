"""Turns the events of a file into contract records by a mapping.

What belongs here: wall clocks to UTC, the order of records, chunks. What does not: rows (events.py), fields
(fields.py), the walls around the expressions (sandbox.py), whether a record keeps the contract (data/contracts) and
how it is stored (data/lake).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from assets.ingest.events import build_events, read_lookups
from assets.ingest.fields import Fields
from assets.ingest.mapping import FieldClass, Mapping, field_class
from assets.ingest.oddities import summarise
from assets.ingest.reading import LINE, quote_name, read_file
from assets.ingest.sandbox import Sandbox
from assets.ingest.unpacking import Limits, UnreadableFile
from assets.ingest.wall_clocks import instant_sql, zone_macros
from data.contracts import CONTRACTS

OUR_LINE = quote_name(LINE)


@dataclass(frozen=True)
class Chunk:
    """Some records in their order, and for each the line of the file on which it begins."""

    records: list[dict[str, Any]]
    lines: list[int]


class Evaluation:
    """One file seen through one mapping. Close it, or use it as a context manager."""

    def __init__(self, file: Path, mapping: Mapping, limits: Limits) -> None:
        self._file, self._mapping = file, mapping
        self._contract = CONTRACTS[mapping.kind]
        self._sandbox = Sandbox(file, mapping, limits)
        self._connection = self._sandbox.connection
        self._walls: list[tuple[str, str]] = []  # relation, SQL of a wall clock
        try:
            lacking = read_file(self._connection, file, mapping.read, limits=limits)
            read_lookups(self._sandbox, file, mapping, limits)
            self._sandbox.lock()
            self._build()
            self.summary = summarise(self._sandbox, mapping, self._walls, lacking)
            self._drop_what_is_done()
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            self.close()
            raise UnreadableFile(
                f"{file.name} does not fit into {limits.memory_limit}, and the rest of it cannot be spilled: "
                f"{str(error).splitlines()[0]}; split the file, or raise CHALKLINE_IMPORT_MEMORY_LIMIT"
            ) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Evaluation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the file."""
        self._sandbox.close()

    def chunk(self, number: int, size: int) -> Chunk:
        """Return the records of one chunk, counted from 0, by event time and then by id: the same every time."""
        frame = self._connection.execute(
            "select * exclude (record_number) from mapped where record_number > $after and record_number <= $until "
            "order by record_number",
            {"after": number * size, "until": (number + 1) * size},
        ).pl()
        return Chunk(self._completed(frame.drop(LINE)), frame[LINE].to_list())

    def _completed(self, frame: pl.DataFrame) -> list[dict[str, Any]]:
        mapping = self._mapping
        lists = [name for name in mapping.fields if field_class(mapping.kind, name) == "list"]
        records = frame.to_dicts()
        constants = {name: _portable(value) for name, value in mapping.constants.items()}
        defaults = {name: _portable(value) for name, value in mapping.defaults.items()}
        for record in records:
            record.update(constants)
            for name, value in defaults.items():
                if record.get(name) is None:
                    record[name] = value
            for name in lists:
                _open_list(record, name)
        return records

    def _drop_what_is_done(self) -> None:
        # Only the finished records are needed from here on: a large file gives its memory back.
        tables = self._connection.execute("select table_name from duckdb_tables()").fetchall()
        for (name,) in tables:
            if name != "mapped":
                self._connection.execute(f"drop table {quote_name(name)}")

    def _build(self) -> None:
        if self._mapping.time_zone is not None:
            for statement in zone_macros(self._mapping.time_zone):
                self._connection.execute(statement)
        times = build_events(self._sandbox, self._file, self._mapping)
        self._walls += [("events", wall) for wall in times.walls]
        fields = Fields(self._sandbox, self._mapping, times.failing)
        self._build_mapped(fields.evaluate())
        self._walls += fields.walls
        self._check_repeated_ids()

    def _build_mapped(self, types: dict[str, str]) -> None:
        kind = self._mapping.kind
        zone = self._mapping.time_zone
        columns = ", ".join(
            f"{_portable_sql(name, given, field_class(kind, name), zone)} as {quote_name(name)}"
            for name, given in types.items()
        )
        wanted = (self._contract.event_time, self._contract.key, "updated_at")
        order = "".join(f"{quote_name(name)} nulls last, " for name in wanted if name in types)
        values = ", ".join(quote_name(name) for name in types)
        # The last keys only decide between rows that are alike in time, id and version.
        self._connection.execute(
            f"create table mapped as select *, row_number() over (order by {order}hash({values}), {OUR_LINE}) "
            f"as record_number from (select {columns}, {OUR_LINE} from evaluated) as texts order by record_number"
        )

    def _check_repeated_ids(self) -> None:
        key = self._contract.key
        if self._mapping.repeated_ids == "keep" or key not in self._mapping.fields:
            return
        version = ", ".join(quote_name(name) for name in (key, "updated_at") if name in self._mapping.fields)
        found = self._connection.execute(
            f"select {quote_name(key)}, count(*) over () from "
            f"(select distinct * exclude (record_number, {OUR_LINE}) from mapped where {quote_name(key)} is not null) "
            f"group by {version} having count(*) > 1 order by 1 limit 3"
        ).fetchall()
        if found:
            examples = ", ".join(str(row[0]) for row in found)
            raise self._sandbox.error(
                f"fields.{key}",
                f"{found[0][1]:,} ids stand on several different rows with the same updated_at ({examples}); "
                "make the id unique, fold the rows with group_by, or say repeated_ids: keep",
            )


def _portable_sql(name: str, given: str, wanted: FieldClass, time_zone: str | None) -> str:
    """Return SQL that gives a field's value as text or a plain number: what any door would have sent."""
    column = quote_name(name)
    if wanted == "instant":
        return instant_sql(column, given, time_zone)
    if wanted == "list":
        return column if given in ("VARCHAR", "JSON") else f"to_json({column})::varchar"
    if wanted == "text":
        return f"{column}::varchar"
    return column if given in ("BOOLEAN", "VARCHAR", "BIGINT", "INTEGER", "DOUBLE") else f"{column}::double"


def _portable(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | date) else value


def _open_list(record: dict[str, Any], name: str) -> None:
    value = record.get(name)
    if value is None:
        # A contract's list is never NULL: a source that gives none has none.
        record.pop(name, None)
    elif isinstance(value, str):
        try:
            record[name] = json.loads(value)
        except json.JSONDecodeError:
            return  # stays text, and the contract says that it is no list
