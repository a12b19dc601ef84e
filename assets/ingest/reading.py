"""Reads a CSV or Parquet file whole, strictly, into a relation named file.

What belongs here: formats, compression, encodings, and the errors of a file that is not what it seems.
What does not: what its columns mean (evaluation.py).

CSV is read by Python's strict reader, not by a sniffer: a sniffer that meets one broken line may settle on
another dialect and return fewer rows without a word.
"""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import duckdb
import polars as pl

from assets.ingest.mapping import ReadOptions
from data.lake.connection import quote

CSV_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".zip")
PARQUET_ENDINGS = (".parquet", ".pq")
ROWS_AT_ONCE = 100_000


class UnreadableFile(ValueError):
    """A file cannot be read as told; the message names the file, the cause and the fix."""


def read_file(connection: duckdb.DuckDBPyConnection, file: Path, options: ReadOptions) -> tuple[str, ...]:
    """Load a file as the relation `file`; return the optional columns that it lacks (added, all NULL).

    Raises UnreadableFile when the file is missing, empty, of another format, encoding or delimiter.
    """
    if not file.is_file():
        raise UnreadableFile(f"{file} does not exist or is not a file")
    if file.stat().st_size == 0:
        raise UnreadableFile(f"{file.name} is empty (0 bytes)")
    if _format_of(file, options) == "parquet":
        _load_parquet(connection, file, options)
    else:
        _load_csv(connection, file, options)
    rows = connection.execute("select count(*) from file").fetchone()
    if rows is None or rows[0] == 0:
        raise UnreadableFile(f"{file.name} has a header but no rows")
    present = {name.lower() for name in columns_of(connection)}
    lacking = tuple(name for name in options.optional_columns if name.lower() not in present)
    for name in lacking:
        connection.execute(f"alter table file add column {quote_name(name)} varchar")
    return lacking


def columns_of(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the column names of the relation `file`."""
    return [row[0] for row in connection.execute("describe file").fetchall()]


def quote_name(name: str) -> str:
    """Quote an identifier for a statement."""
    return '"' + name.replace('"', '""') + '"'


def _format_of(file: Path, options: ReadOptions) -> str:
    if options.format is not None:
        return options.format
    name = file.name.lower()
    if name.endswith(PARQUET_ENDINGS):
        return "parquet"
    if name.endswith(CSV_ENDINGS):
        return "csv"
    raise UnreadableFile(
        f"{file.name}: the ending does not tell the format; set read.format to csv or parquet"
    )


def _load_parquet(connection: duckdb.DuckDBPyConnection, file: Path, options: ReadOptions) -> None:
    path = {"path": str(file)}
    try:
        described = connection.execute("describe select * from read_parquet($path)", path).fetchall()
        values = ", ".join(_nulls_replaced(row[0], row[1], options.null_values) for row in described)
        connection.execute(f"create table file as select {values} from read_parquet($path)", path)
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise UnreadableFile(f"{file.name} cannot be read as Parquet: {first}") from error


def _nulls_replaced(column: str, column_type: str, null_values: tuple[str, ...]) -> str:
    name = quote_name(column)
    if column_type != "VARCHAR" or not null_values:
        return name
    texts = ", ".join(quote(text) for text in null_values)
    return f"case when {name} not in ({texts}) then {name} end as {name}"


def _load_csv(connection: duckdb.DuckDBPyConnection, file: Path, options: ReadOptions) -> None:
    try:
        with _open_text(file, options) as stream:
            reader = csv.reader(stream, delimiter=options.delimiter, strict=True)
            header = _header(file, next(reader, []), options)
            for number, frame in enumerate(_frames(file, reader, header, options)):
                connection.register("incoming", frame)
                verb = "create table file as" if number == 0 else "insert into file"
                connection.execute(f"{verb} select * from incoming")
                connection.unregister("incoming")
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            f"{file.name} is not {options.encoding}: byte {error.object[error.start]:#04x} cannot be read; "
            "set read.encoding (files saved by Excel are often cp1252)"
        ) from error
    except csv.Error as error:
        raise UnreadableFile(f"{file.name}, line {reader.line_num}: {error}; nothing was stored") from error
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError) as error:
        raise UnreadableFile(f"{file.name} cannot be unpacked: {error}") from error


@contextmanager
def _open_text(file: Path, options: ReadOptions) -> Iterator[io.TextIOWrapper]:
    # A byte-order mark is no part of the first column's name.
    encoding = (
        "utf-8-sig" if options.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else options.encoding
    )
    with _open_bytes(file) as stream, io.TextIOWrapper(stream, encoding=encoding, newline="") as text:
        yield text


@contextmanager
def _open_bytes(file: Path) -> Iterator[BinaryIO]:
    name = file.name.lower()
    if name.endswith(".zip"):
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.namelist() if not member.endswith("/")]
            if len(members) != 1:
                raise UnreadableFile(
                    f"{file.name} holds {len(members)} files; a zip must hold exactly one CSV"
                )
            with archive.open(members[0]) as stream:
                yield cast(BinaryIO, stream)
    elif name.endswith(".gz"):
        with gzip.open(file) as stream:
            yield cast(BinaryIO, stream)
    else:
        with file.open("rb") as stream:
            yield stream


def _header(file: Path, names: list[str], options: ReadOptions) -> list[str]:
    if not any(name.strip() for name in names):
        raise UnreadableFile(f"{file.name}: the first line is blank; it must name the columns")
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


def _frames(
    file: Path, reader: Iterator[list[str]], header: list[str], options: ReadOptions
) -> Iterator[pl.DataFrame]:
    numbered = _whole_rows(file, reader, len(header))
    nulls = list(options.null_values)
    schema = dict.fromkeys(header, pl.String)
    first = True
    while (rows := list(islice(numbered, ROWS_AT_ONCE))) or first:
        columns = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
        frame = pl.DataFrame(columns, schema=schema)
        if nulls:
            frame = frame.with_columns(
                pl.when(pl.all().is_in(nulls)).then(None).otherwise(pl.all()).name.keep()
            )
        yield frame
        first = False


def _whole_rows(file: Path, reader: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    for row in reader:
        if len(row) == width:
            yield row
        elif row:
            line = getattr(reader, "line_num", 0)
            raise UnreadableFile(
                f"{file.name}, line {line}: has {len(row)} values where the header has {width}; "
                "mend the line or check read.delimiter"
            )
