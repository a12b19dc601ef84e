"""Turns the events of a file into contract records by a mapping.

What belongs here: the fields and their types, wall clocks to UTC, the order of records. What does not: rows
(events.py), the walls around the expressions (sandbox.py), whether a record keeps the contract (data/contracts) and
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

from assets.ingest.events import Unmatched, build_events, count_unmatched, read_lookups
from assets.ingest.mapping import FieldClass, Mapping, MappingError, field_class
from assets.ingest.reading import LINE, quote_name, read_file
from assets.ingest.sandbox import FRACTIONAL_TYPES, Sandbox
from assets.ingest.unpacking import Limits, UnreadableFile
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

OUR_LINE = quote_name(LINE)


@dataclass(frozen=True)
class Evaluated:
    """What a mapping made of a file, before anything is judged or stored."""

    file_row_count: int
    record_count: int
    empty_fields: tuple[str, ...]
    lacking_columns: tuple[str, ...]
    unmatched: tuple[Unmatched, ...]
    repeated_times: int
    skipped_times: int
    first_event_at: datetime | None
    last_event_at: datetime | None


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
            self.summary = self._summarise(lacking)
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
        self._walls += [("events", wall) for wall in build_events(self._sandbox, self._file, self._mapping)]
        types = self._check_fields()
        self._run_naming_the_culprit(types)
        self._check_times(types)
        self._build_mapped(types)
        self._check_repeated_ids()

    def _check_fields(self) -> dict[str, str]:
        """Return the type that every field's expression gives, or raise one error that names all bad ones."""
        types: dict[str, str] = {}
        problems: list[str] = []
        for name, expression in self._mapping.fields.items():
            try:
                types[name] = self._sandbox.type_of(
                    f"fields.{name}", expression, "events", grouping=self._grouping()
                )
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
            raise self._sandbox.error(
                place, "gives a time without a zone; set time_zone to the zone of the source's clock"
            )
        if wanted == "text" and given in FRACTIONAL_TYPES:
            raise self._sandbox.error(
                place, f"gives {given}, so 7 would become '7.0'; write ({self._mapping.fields[name]})::bigint"
            )

    def _run_naming_the_culprit(self, types: dict[str, str]) -> None:
        """Evaluate all fields; when that fails on some row, find out which field it was."""
        parts = [
            f"({expression}\n) as {quote_name(name)}" for name, expression in self._mapping.fields.items()
        ]
        line = f"min({OUR_LINE})" if self._mapping.group_by else OUR_LINE
        try:
            self._connection.execute(
                f"create table evaluated as select {', '.join(parts)}, {line} as {OUR_LINE} "
                f"from events{self._grouping()}"
            )
        except duckdb.Error as whole:
            for name, part in zip(types, parts, strict=True):
                probe = f"create or replace temp table probe as select {part} from events{self._grouping()}"
                self._sandbox.execute(f"fields.{name}", probe)
            if "must appear in the GROUP BY" in str(whole):
                raise self._sandbox.error(
                    "group_by", "is missing; some expression folds several rows, so say which belong together"
                ) from whole
            raise self._sandbox.error("fields", str(whole).splitlines()[0]) from whole

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
            elif given != AWARE_TYPE and self._sandbox.one(f"select count({column}) from evaluated")[0]:
                # A column that is wholly empty has no type worth naming; any other type is a mistake.
                raise self._sandbox.error(
                    place, f"gives {given}; a time is a TIMESTAMP or ISO text (epoch: to_timestamp(...))"
                )

    def _refuse_naive_texts(self, place: str, column: str) -> None:
        naive = naive_text_sql(column)
        row = self._sandbox.one(
            f"select count(*) filter ({naive}), min({column}) filter ({naive}) from evaluated"
        )
        if row[0]:
            raise self._sandbox.error(
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

    def _summarise(self, lacking: tuple[str, ...]) -> Evaluated:
        fields = list(self._mapping.fields)
        counts = ", ".join(f"count({quote_name(name)})" for name in fields)
        event = self._contract.event_time
        instant = parsed_sql(quote_name(event))
        span = f"min({instant}), max({instant})" if event in fields else "null, null"
        row = self._sandbox.one(f"select count(*), {span}, {counts} from mapped")
        if row[0] == 0:
            place = "where" if self._mapping.where is not None else "repeat"
            raise self._sandbox.error(
                place, f"keeps none of the {self._sandbox.one('select count(*) from file')[0]:,} rows"
            )
        fixed = self._mapping.constants.keys() | self._mapping.defaults.keys()
        filled = {name for name, count in zip(fields, row[3:], strict=True) if count} | fixed
        repeated, skipped = self._count_clock_changes()
        return Evaluated(
            file_row_count=self._sandbox.one("select count(*) from file")[0],
            record_count=row[0],
            empty_fields=tuple(name for name in self._contract.model_fields if name not in filled),
            lacking_columns=lacking,
            unmatched=count_unmatched(self._sandbox, self._mapping),
            repeated_times=repeated,
            skipped_times=skipped,
            first_event_at=row[1],
            last_event_at=row[2],
        )

    def _count_clock_changes(self) -> tuple[int, int]:
        repeated = skipped = 0
        for relation, wall in self._walls:
            counted = f"count(*) filter (is_repeated({wall})), count(*) filter (is_skipped({wall}))"
            row = self._sandbox.one(f"select {counted} from {relation}")
            repeated, skipped = repeated + row[0], skipped + row[1]
        return repeated, skipped

    def _grouping(self) -> str:
        return f" group by {', '.join(self._mapping.group_by)}" if self._mapping.group_by else ""


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
