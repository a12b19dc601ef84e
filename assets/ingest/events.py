"""Makes the relation `events` from the rows of a file: rows looked up, chosen, set on the clock, repeated, numbered.

What belongs here: everything of a mapping that is about rows. What does not: the fields of a record (evaluation.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assets.ingest.mapping import Lookup, Mapping
from assets.ingest.reading import LINE, columns_of, quote_name, read_file
from assets.ingest.sandbox import FRACTIONAL_TYPES, Sandbox
from assets.ingest.unconverted import stands_on
from assets.ingest.unpacking import Limits, UnreadableFile
from assets.ingest.wall_clocks import NAIVE_TYPES

MOST_REPEATS = 10_000
"""Records that one row may stand for. A larger number is a mistake of the file, not a busy moment."""
OURS = ("event_order", "repeat_number")
"""Columns that we add to the events."""


@dataclass(frozen=True)
class Oddity:
    """Something that is worth a look: what it is about, how often it was met, and a line on which it stands."""

    name: str
    count: int
    line: int | None


def read_lookups(sandbox: Sandbox, file: Path, mapping: Mapping, limits: Limits) -> None:
    """Load the files of all lookups, each as a relation of its own. Raises MappingError when one is missing."""
    for name, lookup in mapping.lookups.items():
        beside = mapping.lookup_file(name, file)
        if not beside.is_file():
            raise sandbox.error(
                f"lookups.{name}.file", f"{beside} is not there; put {lookup.file} beside {file.name}"
            )
        read_file(sandbox.connection, beside, lookup.read, limits=limits, relation=_rows_of(name))


@dataclass(frozen=True)
class LocalTimes:
    """SQL of the wall clocks among the events, and by name of a local time the lines that it does not convert."""

    walls: tuple[str, ...]
    failing: dict[str, tuple[int, ...]]


def build_events(sandbox: Sandbox, file: Path, mapping: Mapping) -> LocalTimes:
    """Make `events`. A local time that does not convert on some row is empty there."""
    _refuse_clashes(sandbox, mapping)
    rows = "file"
    for name, lookup in mapping.lookups.items():
        rows = _join(sandbox, rows, name, lookup)
    if mapping.where is not None:
        sandbox.type_of("where", mapping.where, rows)
    for column in mapping.order_by:
        sandbox.type_of("order_by", column, rows)
    condition = f" where ({mapping.where}\n)" if mapping.where is not None else ""
    columns, walls, failing = ["*"], [], {}
    for name, expression in mapping.local_times.items():
        wall, shown = quote_name(f"wall clock of {name}"), f"(({expression}\n))::timestamp"
        _require_wall_clock(sandbox, name, expression, rows)
        failing[name] = _failing_lines(sandbox, mapping, name, shown, rows)
        if failing[name]:
            shown = f"case when {stands_on(failing[name])} then null else {shown} end"
        columns += [f"{shown} as {wall}", f"in_zone({wall}) as {quote_name(name)}"]
        walls.append(wall)
    if mapping.order_by:
        columns.append(f"row_number() over (order by {', '.join(mapping.order_by)}) as event_order")
    if mapping.repeat is not None:
        _refuse_bad_counts(sandbox, file, mapping.repeat, f"{rows}{condition}", rows)
        columns.append(f"unnest(range(1, ({mapping.repeat}\n)::bigint + 1)) as repeat_number")
    # A view costs nothing; a table is needed where events are numbered, which is done once.
    form = "table" if mapping.order_by else "view"
    sandbox.execute(
        "local_times", f"create {form} events as select {', '.join(columns)} from {rows}{condition}"
    )
    for column in mapping.group_by:
        sandbox.type_of("group_by", column, "events")
    return LocalTimes(tuple(walls), failing)


def _failing_lines(sandbox: Sandbox, mapping: Mapping, name: str, shown: str, rows: str) -> tuple[int, ...]:
    place = f"local_times.{name}"
    lines = sandbox.failing_lines(place, shown, rows, where=mapping.where)
    if lines and mapping.group_by:
        # Of several rows that become one record, none stands for it.
        sandbox.execute(place, f"create or replace temp table probe as select {shown} as value from {rows}")
    return lines


def count_unmatched(sandbox: Sandbox, mapping: Mapping) -> tuple[Oddity, ...]:
    """Return for each lookup how many events found nothing in it, where there are any."""
    found = (Oddity(name, *sandbox.one(_nothing_found(name))) for name in mapping.lookups)
    return tuple(one for one in found if one.count)


def _nothing_found(name: str) -> str:
    return f"select count(*), min({quote_name(LINE)}) from events where {quote_name(name)} is null"


def _rows_of(name: str) -> str:
    return f"rows of {name}"


def _refuse_clashes(sandbox: Sandbox, mapping: Mapping) -> None:
    taken = {name.lower() for name in (*columns_of(sandbox.connection), *OURS)}
    for section in ("lookups", "local_times"):
        for name in getattr(mapping, section):
            if name.lower() in taken:
                raise sandbox.error(f"{section}.{name}", "the file has a column of that name; choose another")
            taken.add(name.lower())


def _join(sandbox: Sandbox, rows: str, name: str, lookup: Lookup) -> str:
    """Add one lookup to the rows, as one column that holds the row found. Returns the name of the new relation."""
    place, found = f"lookups.{name}.key", quote_name(_rows_of(name))
    columns = columns_of(sandbox.connection, _rows_of(name))
    _require_unique(sandbox, place, lookup, found, columns)
    keys, matches = [], []
    for number, (column, expression) in enumerate(lookup.key.items(), start=1):
        key = quote_name(f"key {number} of {name}")
        left, right = f"main.{key}", f"found.{quote_name(column)}"
        types = (
            sandbox.type_of(place, expression, rows),
            sandbox.type_of(place, quote_name(column), found),
        )
        if "VARCHAR" in types and types[0] != types[1]:
            if any(given in FRACTIONAL_TYPES for given in types):
                raise sandbox.error(
                    place, f"{column} is {types[1]} there and {types[0]} here; write (x)::bigint"
                )
            left, right = f"{left}::varchar", f"{right}::varchar"
        keys.append(f"({expression}\n) as {key}")
        matches.append(f"{left} = {right}")
    packed = ", ".join(f"{quote_name(column)} := found.{quote_name(column)}" for column in columns)
    joined = quote_name(f"rows with {name}")
    excluded = ", ".join(quote_name(f"key {number} of {name}") for number in range(1, len(keys) + 1))
    sandbox.execute(
        place,
        f"create view {joined} as select main.* exclude ({excluded}), "
        f"case when found.{quote_name(LINE)} is not null then struct_pack({packed}) end as {quote_name(name)} "
        f"from (select *, {', '.join(keys)} from {rows}) as main "
        f"left join {found} as found on {' and '.join(matches)}",
    )
    return joined


def _require_unique(sandbox: Sandbox, place: str, lookup: Lookup, found: str, columns: list[str]) -> None:
    for column in lookup.key:
        if column.lower() not in {name.lower() for name in columns}:
            raise sandbox.error(place, f"{lookup.file} has no column {column}; it has {', '.join(columns)}")
    keys = ", ".join(quote_name(column) for column in lookup.key)
    repeated = sandbox.connection.execute(
        f"select concat_ws(', ', {keys}), count(*) from {found} group by {keys} having count(*) > 1 order by 1 limit 1"
    ).fetchone()
    if repeated is not None:
        raise sandbox.error(
            place,
            f"{lookup.file} has {repeated[1]:,} rows for {', '.join(lookup.key)} = {repeated[0]}; "
            "a lookup needs one row for each key",
        )


def _require_wall_clock(sandbox: Sandbox, name: str, expression: str, rows: str) -> None:
    given = sandbox.type_of(f"local_times.{name}", expression, rows)
    if given not in NAIVE_TYPES:
        raise sandbox.error(f"local_times.{name}", f"gives {given}; a wall clock time is a TIMESTAMP")


def _refuse_bad_counts(sandbox: Sandbox, file: Path, repeat: str, wanted: str, rows: str) -> None:
    sandbox.type_of("repeat", repeat, rows)
    line = quote_name(LINE)
    sandbox.execute(
        "repeat",
        f"create or replace temp table repeats as select line, times from "
        f"(select {line} as line, ({repeat}\n)::varchar as times from {wanted}) where times is null "
        "or try_cast(times as double) is null or try_cast(times as double) <> floor(try_cast(times as double)) "
        f"or try_cast(times as double) not between 0 and {MOST_REPEATS} order by line limit 1",
    )
    bad = sandbox.connection.execute("select line, times from repeats").fetchone()
    if bad is not None:
        shown = "nothing" if bad[1] is None else repr(bad[1])
        raise UnreadableFile(
            f"{file.name}, line {bad[0]}: repeat gives {shown}; a row stands for 0 to {MOST_REPEATS:,} records, "
            "a whole number"
        )
