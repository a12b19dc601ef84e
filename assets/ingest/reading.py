"""Reads a CSV or Parquet file whole, strictly, into a relation of DuckDB.

What belongs here: formats, headers and rows, and the errors of a file that is not what it seems. What does not:
bytes and encodings (unpacking.py), and what the columns mean (evaluation.py).

CSV is read by Python's strict reader, not by a sniffer: a sniffer that meets one broken line may settle on
another dialect and return fewer rows without a word.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import duckdb
import polars as pl

from assets.ingest.mapping import ReadOptions
from assets.ingest.unpacking import Limits, UnreadableFile, open_lines, too_large
from data.lake.connection import quote

CSV_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".zip")
PARQUET_ENDINGS = (".parquet", ".pq")
VALUES_AT_ONCE = 1_000_000
"""Values that Python holds at once while a CSV is read: rows at a time are this by the number of columns."""
LINE = "line of the file"
"""A column of ours beside those of the file: where a row stands in it. In Parquet, the number of the row."""

Row = tuple[int, list[str]]
"""The line on which a row begins, and its values."""


def read_file(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    options: ReadOptions,
    *,
    limits: Limits,
    relation: str = "file",
) -> tuple[str, ...]:
    """Load a file as a relation; return the optional columns that it lacks (added, all NULL).

    Raises UnreadableFile when the file is missing, empty, too large, or of another format, encoding or delimiter.
    """
    if file.is_dir():
        raise UnreadableFile(f"{file} is a folder; name the file in it")
    if not file.is_file():
        raise UnreadableFile(f"{file} does not exist or is not a file")
    if file.stat().st_size == 0:
        raise UnreadableFile(f"{file.name} is empty (0 bytes)")
    load = _load_parquet if is_parquet(file, options) else _load_csv
    load(connection, file, options, limits, quote_name(relation))
    rows = connection.execute(f"select count(*) from {quote_name(relation)}").fetchone()
    if rows is None or rows[0] == 0:
        raise UnreadableFile(f"{file.name} has a header but no rows")
    present = {name.lower() for name in columns_of(connection, relation)}
    lacking = tuple(name for name in options.optional_columns if name.lower() not in present)
    for name in lacking:
        connection.execute(f"alter table {quote_name(relation)} add column {quote_name(name)} varchar")
    return lacking


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str = "file") -> list[str]:
    """Return the names of a relation's columns as the file has them."""
    described = connection.execute(f"describe {quote_name(relation)}").fetchall()
    return [row[0] for row in described if row[0] != LINE]


def quote_name(name: str) -> str:
    """Quote an identifier for a statement."""
    return '"' + name.replace('"', '""') + '"'


def is_parquet(file: Path, options: ReadOptions) -> bool:
    """Tell whether a file is Parquet, else CSV: as the mapping says, or by the ending of its name."""
    if options.format is not None:
        return options.format == "parquet"
    name = file.name.lower()
    if name.endswith((*PARQUET_ENDINGS, *CSV_ENDINGS)):
        return name.endswith(PARQUET_ENDINGS)
    raise UnreadableFile(
        f"{file.name}: the ending does not tell the format; set read.format to csv or parquet "
        "(a workbook is saved as CSV first)"
    )


def _load_parquet(
    connection: duckdb.DuckDBPyConnection, file: Path, options: ReadOptions, limits: Limits, relation: str
) -> None:
    path = {"path": str(file)}
    try:
        described = connection.execute("describe select * from read_parquet($path)", path).fetchall()
        size = connection.execute(
            "select sum(total_uncompressed_size)::bigint from parquet_metadata($path)", path
        ).fetchone()
        _refuse_too_many_columns(file, len(described), limits)
        if size is not None and (size[0] or 0) > limits.max_bytes:
            raise too_large(file, limits.max_bytes)
        values = ", ".join(_nulls_replaced(row[0], row[1], options.null_values) for row in described)
        connection.execute(
            f"create table {relation} as select {values}, file_row_number + 1 as {quote_name(LINE)} "
            "from read_parquet($path, file_row_number = true)",
            path,
        )
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise UnreadableFile(f"{file.name} cannot be read as Parquet: {first}") from error


def _nulls_replaced(column: str, column_type: str, null_values: tuple[str, ...]) -> str:
    name = quote_name(column)
    if column_type != "VARCHAR" or not null_values:
        return name
    texts = ", ".join(quote(text) for text in null_values)
    return f"case when {name} not in ({texts}) then {name} end as {name}"


def _load_csv(
    connection: duckdb.DuckDBPyConnection, file: Path, options: ReadOptions, limits: Limits, relation: str
) -> None:
    with open_lines(file, options.encoding, limits=limits) as lines:
        for _ in islice(lines, options.skip_first):
            pass
        reader = csv.reader(lines, delimiter=options.delimiter, strict=True)
        try:
            header = _header(file, next(reader, []), options, limits)
            rows = _whole_rows(file, _numbered_rows(reader, options), len(header))
            for number, frame in enumerate(_frames(rows, header, options)):
                connection.register("incoming", frame)
                verb = f"create table {relation} as" if number == 0 else f"insert into {relation}"
                connection.execute(f"{verb} select * from incoming")
                connection.unregister("incoming")
        except csv.Error as error:
            line = reader.line_num + options.skip_first
            raise UnreadableFile(f"{file.name}, line {line}: {_explained(error)}") from error


def _explained(error: csv.Error) -> str:
    said = str(error)
    if "field larger" in said:
        return (
            f"a value is longer than {csv.field_size_limit():,} characters; a closing quote is missing before"
        )
    if "unexpected end of data" in said:
        return "the file ends inside quotes; it was cut off, or a closing quote is missing"
    return said


def _refuse_too_many_columns(file: Path, count: int, limits: Limits) -> None:
    if count > limits.max_columns:
        raise UnreadableFile(
            f"{file.name} has {count:,} columns and {limits.max_columns:,} are taken; leave out what no field needs, "
            "or raise CHALKLINE_IMPORT_MAX_COLUMNS"
        )


def _header(file: Path, names: list[str], options: ReadOptions, limits: Limits) -> list[str]:
    if not any(name.strip() for name in names):
        raise UnreadableFile(
            f"{file.name}: the first line is blank; it must name the columns "
            "(read.skip_first passes over lines before it)"
        )
    _refuse_too_many_columns(file, len(names), limits)
    header = [name.strip() or f"column_{number}" for number, name in enumerate(names, start=1)]
    lowered = [name.lower() for name in header]
    repeated = sorted({name for name in header if lowered.count(name.lower()) > 1})
    if repeated:
        raise UnreadableFile(f"{file.name}: the header names {', '.join(repeated)} more than once")
    if len(header) == 1:
        for other, word in ((";", "';'"), ("\t", "a tab"), ("|", "'|'"), (",", "','")):
            if other != options.delimiter and other in header[0]:
                raise UnreadableFile(
                    f"{file.name}: the header is one column named {header[0]!r}; the file seems to be "
                    f'separated by {word}: set read.delimiter to "{other.encode("unicode_escape").decode()}"'
                )
    return header


def _numbered_rows(reader: Iterator[list[str]], options: ReadOptions) -> Iterator[Row]:
    """Give each row with the line on which it begins; blank lines and the last `skip_last` rows are left out."""
    held: deque[Row] = deque()
    read = getattr(reader, "line_num", 0)
    for row in reader:
        line, read = read + 1, getattr(reader, "line_num", 0)
        if row:
            held.append((line + options.skip_first, row))
        if len(held) > options.skip_last:
            yield held.popleft()


def _whole_rows(file: Path, rows: Iterator[Row], width: int) -> Iterator[Row]:
    for line, row in rows:
        if len(row) != width:
            raise UnreadableFile(
                f"{file.name}, line {line}: has {len(row)} values where the header has {width}; "
                "mend the line or check read.delimiter (read.skip_last leaves out lines at the end, such as totals)"
            )
        yield line, row


def _frames(rows: Iterator[Row], header: list[str], options: ReadOptions) -> Iterator[pl.DataFrame]:
    nulls = list(options.null_values)
    schema = dict.fromkeys(header, pl.String)
    at_once = max(1, VALUES_AT_ONCE // len(header))
    first = True
    while (taken := list(islice(rows, at_once))) or first:
        columns = (
            dict(zip(header, zip(*(row for _, row in taken), strict=True), strict=True)) if taken else {}
        )
        frame = pl.DataFrame(columns, schema=schema)
        if nulls:
            frame = frame.with_columns(
                pl.when(pl.all().is_in(nulls)).then(None).otherwise(pl.all()).name.keep()
            )
        yield frame.with_columns(pl.Series(LINE, [line for line, _ in taken], dtype=pl.Int64))
        first = False
