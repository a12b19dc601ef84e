"""Turns the rows of a file into contract records by a mapping, inside a locked DuckDB.

What belongs here: the sandbox, the expressions, wall clocks to UTC, the order of records.
What does not: whether a record keeps the contract (data/contracts) and how it is stored (data/lake).

The file is read first; then the connection loses the file system, extensions and its own settings, so that an
expression of a mapping can reach nothing but the columns of the file.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from assets.ingest.mapping import FieldClass, Mapping, MappingError, field_class
from assets.ingest.reading import columns_of, quote_name, read_file
from assets.ingest.wall_clocks import (
    AWARE_TYPE,
    NAIVE_TYPES,
    instant_sql,
    naive_text_sql,
    parsed_sql,
    wall_sql,
    zone_macros,
)
from data.contracts import CONTRACTS

SANDBOX = {
    "memory_limit": "6GB",
    "threads": "2",
    "temp_directory": "",  # nothing is written outside the state folder
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
FRACTIONAL_TYPES = ("DOUBLE", "FLOAT")


@dataclass(frozen=True)
class Evaluated:
    """What a mapping made of a file, before anything is judged or stored."""

    file_row_count: int
    record_count: int
    empty_fields: tuple[str, ...]
    lacking_columns: tuple[str, ...]
    repeated_times: int
    skipped_times: int
    first_event_at: datetime | None
    last_event_at: datetime | None


class Evaluation:
    """One file seen through one mapping. Close it, or use it as a context manager."""

    def __init__(self, file: Path, mapping: Mapping) -> None:
        self._file, self._mapping = file, mapping
        self._contract = CONTRACTS[mapping.kind]
        self._connection = duckdb.connect(":memory:", config=dict(SANDBOX))
        self._walls: list[tuple[str, str]] = []  # relation, SQL of a wall clock
        try:
            self._connection.execute("set TimeZone = 'UTC'")
            lacking = read_file(self._connection, file, mapping.read)
            self._connection.execute("set enable_external_access = false")
            self._connection.execute("set lock_configuration = true")
            self._build()
            self.summary = self._summarise(lacking)
            # Only the finished records are needed from here on: a large file gives its memory back.
            self._connection.execute("drop table evaluated")
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Evaluation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the file."""
        self._connection.close()

    def chunks(self, size: int) -> Iterator[list[dict[str, Any]]]:
        """Yield lists of up to `size` records, by event time and then by id: the same order every time."""
        reader = self._connection.execute("select * from mapped order by record_number").to_arrow_reader(size)
        for batch in reader:
            frame = pl.DataFrame(pl.from_arrow(batch)).drop("record_number")
            yield self._completed(frame)

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

    def _build(self) -> None:
        if self._mapping.time_zone is not None:
            for statement in zone_macros(self._mapping.time_zone):
                self._connection.execute(statement)
        self._check_columns()
        self._build_events()
        types = self._check_fields()
        self._run_naming_the_culprit(types)
        self._check_times(types)
        self._build_mapped(types)
        self._check_repeated_ids()

    def _check_columns(self) -> None:
        columns = {name.lower() for name in columns_of(self._connection)}
        clash = [name for name in self._mapping.local_times if name.lower() in columns | {"event_order"}]
        if clash:
            raise self._error(f"local_times.{clash[0]}", "the file has a column of that name; choose another")

    def _build_events(self) -> None:
        """Make `events`: the wanted rows of the file, with local times converted and numbered where asked."""
        mapping = self._mapping
        if mapping.where is not None:
            self._type_of("where", mapping.where, "file")
        for column in mapping.order_by:
            self._type_of("order_by", column, "file")
        columns = ["*"]
        for name, expression in mapping.local_times.items():
            given = self._type_of(f"local_times.{name}", expression, "file")
            if given not in NAIVE_TYPES:
                raise self._error(f"local_times.{name}", f"gives {given}; a wall clock time is a TIMESTAMP")
            wall = quote_name(f"wall clock of {name}")
            columns += [f"(({expression}\n))::timestamp as {wall}", f"in_zone({wall}) as {quote_name(name)}"]
            self._walls.append(("events", wall))
        if mapping.order_by:
            columns.append(f"row_number() over (order by {', '.join(mapping.order_by)}) as event_order")
        condition = f" where ({mapping.where}\n)" if mapping.where is not None else ""
        # A view costs nothing; a table is needed where events are numbered, which is done once.
        form = "table" if mapping.order_by else "view"
        self._execute(
            "local_times", f"create {form} events as select {', '.join(columns)} from file{condition}"
        )
        for column in mapping.group_by:
            self._type_of("group_by", column, "events")

    def _check_fields(self) -> dict[str, str]:
        """Return the type that every field's expression gives, or raise one error that names all bad ones."""
        types: dict[str, str] = {}
        problems: list[str] = []
        for name, expression in self._mapping.fields.items():
            try:
                types[name] = self._type_of(f"fields.{name}", expression, "events", grouped=True)
                self._check_type(name, types[name])
            except MappingError as error:
                problems.append(str(error).split(": ", 1)[1])
        if problems:
            raise MappingError(
                f"mapping {self._mapping.name} on {self._file.name}: " + "\n  ".join(["", *problems]).strip()
            )
        return types

    def _check_type(self, name: str, given: str) -> None:
        wanted = field_class(self._mapping.kind, name)
        place = f"fields.{name}"
        if wanted == "instant" and given in NAIVE_TYPES and self._mapping.time_zone is None:
            raise self._error(
                place, "gives a time without a zone; set time_zone to the zone of the source's clock"
            )
        if wanted == "text" and given in FRACTIONAL_TYPES:
            raise self._error(
                place, f"gives {given}, so 7 would become '7.0'; write ({self._mapping.fields[name]})::bigint"
            )

    def _run_naming_the_culprit(self, types: dict[str, str]) -> None:
        """Evaluate all fields; when that fails on some row, find out which field it was."""
        parts = [
            f"({expression}\n) as {quote_name(name)}" for name, expression in self._mapping.fields.items()
        ]
        try:
            self._connection.execute(
                f"create table evaluated as select {', '.join(parts)} from events{self._grouping()}"
            )
        except duckdb.Error as whole:
            for name, part in zip(types, parts, strict=True):
                probe = f"create or replace temp table probe as select {part} from events{self._grouping()}"
                self._execute(f"fields.{name}", probe)
            raise self._error("fields", _first_line(whole)) from whole

    def _check_times(self, types: dict[str, str]) -> None:
        """Refuse what is no time, and texts that show a wall clock while nobody said whose."""
        zone = self._mapping.time_zone
        instants = [name for name in types if field_class(self._mapping.kind, name) == "instant"]
        for name in instants:
            place, column, given = f"fields.{name}", quote_name(name), types[name]
            if given in NAIVE_TYPES or given == "VARCHAR":
                if zone is not None:
                    self._walls.append(("evaluated", wall_sql(column, given)))
                elif given == "VARCHAR":
                    self._refuse_naive_texts(place, column)
            elif given != AWARE_TYPE and self._one(f"select count({column}) from evaluated")[0]:
                # A column that is wholly empty has no type worth naming; any other type is a mistake.
                raise self._error(
                    place, f"gives {given}; a time is a TIMESTAMP or ISO text (epoch: to_timestamp(...))"
                )

    def _refuse_naive_texts(self, place: str, column: str) -> None:
        naive = naive_text_sql(column)
        row = self._one(f"select count(*) filter ({naive}), min({column}) filter ({naive}) from evaluated")
        if row[0]:
            raise self._error(
                place,
                f"{row[0]:,} times such as {row[1]!r} have no zone; set time_zone to the zone of the source's clock",
            )

    def _build_mapped(self, types: dict[str, str]) -> None:
        kind = self._mapping.kind
        zone = self._mapping.time_zone
        columns = ", ".join(
            f"{_portable_sql(name, given, field_class(kind, name), zone)} as {quote_name(name)}"
            for name, given in types.items()
        )
        wanted = (self._contract.event_time, self._contract.key, "updated_at")
        order = "".join(f"{quote_name(name)} nulls last, " for name in wanted if name in types)
        # The last key only decides between rows that are alike in time, id and version.
        self._connection.execute(
            f"create table mapped as select *, row_number() over (order by {order}hash(texts)) "
            f"as record_number from (select {columns} from evaluated) as texts"
        )

    def _check_repeated_ids(self) -> None:
        key = self._contract.key
        if self._mapping.repeated_ids == "keep" or key not in self._mapping.fields:
            return
        version = ", ".join(quote_name(name) for name in (key, "updated_at") if name in self._mapping.fields)
        found = self._connection.execute(
            f"select {quote_name(key)}, count(*) over () from "
            f"(select distinct * exclude (record_number) from mapped where {quote_name(key)} is not null) "
            f"group by {version} having count(*) > 1 order by 1 limit 3"
        ).fetchall()
        if found:
            examples = ", ".join(str(row[0]) for row in found)
            raise self._error(
                f"fields.{key}",
                f"{found[0][1]:,} ids stand on several different rows with the same updated_at ({examples}); "
                "make the id unique, fold the rows with group_by, or say repeated_ids: keep",
            )

    def _summarise(self, lacking: tuple[str, ...]) -> Evaluated:
        fields = list(self._mapping.fields)
        counts = ", ".join(f"count({quote_name(name)})" for name in fields)
        event = self._contract.event_time
        instant = parsed_sql(quote_name(event))
        span = f"min({instant}), max({instant})" if event in fields else "null, null"
        row = self._one(f"select count(*), {span}, {counts} from mapped")
        if row[0] == 0:
            raise self._error(
                "where", f"keeps none of the {self._one('select count(*) from file')[0]:,} rows"
            )
        fixed = self._mapping.constants.keys() | self._mapping.defaults.keys()
        filled = {name for name, count in zip(fields, row[3:], strict=True) if count} | fixed
        repeated, skipped = self._count_clock_changes()
        return Evaluated(
            file_row_count=self._one("select count(*) from file")[0],
            record_count=row[0],
            empty_fields=tuple(name for name in self._contract.model_fields if name not in filled),
            lacking_columns=lacking,
            repeated_times=repeated,
            skipped_times=skipped,
            first_event_at=row[1],
            last_event_at=row[2],
        )

    def _count_clock_changes(self) -> tuple[int, int]:
        repeated = skipped = 0
        for relation, wall in self._walls:
            counted = f"count(*) filter (is_repeated({wall})), count(*) filter (is_skipped({wall}))"
            row = self._one(f"select {counted} from {relation}")
            repeated, skipped = repeated + row[0], skipped + row[1]
        return repeated, skipped

    def _one(self, sql: str) -> tuple[Any, ...]:
        row = self._connection.execute(sql).fetchone()
        assert row is not None
        return row

    def _grouping(self) -> str:
        return f" group by {', '.join(self._mapping.group_by)}" if self._mapping.group_by else ""

    def _type_of(self, place: str, expression: str, relation: str, *, grouped: bool = False) -> str:
        """Return the type of one expression over a relation; it must be one expression and nothing else."""
        statement = f"select ({expression}\n) as value from {relation}{self._grouping() if grouped else ''}"
        try:
            parsed = duckdb.extract_statements(statement)
        except duckdb.Error as error:
            raise self._error(
                place,
                f'is no expression: {_first_line(error)} (a column named like an SQL word needs "quotes")',
            ) from error
        if len(parsed) != 1 or parsed[0].type != duckdb.StatementType.SELECT:
            raise self._error(place, "must be one expression, not several statements")
        self._execute(place, f"create or replace temp view probe_type as {statement}")
        return str(self._one("describe probe_type")[1])

    def _execute(self, place: str, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except duckdb.Error as error:
            raise self._error(place, self._explained(error)) from error

    def _explained(self, error: duckdb.Error) -> str:
        line = _first_line(error)
        missing = re.search(r'Referenced column "(.+?)"', line)
        if missing:
            columns = columns_of(self._connection)
            close = difflib.get_close_matches(missing[1], columns, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {_listed(columns)}"
            return f"the file has no column {missing[1]}; {hint}"
        if "Conversion Error" in line or "Could not" in line:
            return f"{line} (use try_cast or try_strptime to leave such values empty)"
        return line

    def _error(self, place: str, message: str) -> MappingError:
        return MappingError(f"mapping {self._mapping.name} on {self._file.name}: {place}: {message}")


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


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _listed(columns: list[str], limit: int = 40) -> str:
    more = f" and {len(columns) - limit} more" if len(columns) > limit else ""
    return ", ".join(columns[:limit]) + more
