"""A DuckDB in which the expressions of one mapping meet one file, and nothing else.

What belongs here: the walls of it, and errors that name the place in the mapping. What does not: what is computed
(events.py, evaluation.py).

The files are read first; then the connection loses the file system, extensions and its own settings, so that an
expression of a mapping can reach nothing but the columns of the file.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import duckdb

from assets.ingest.mapping import Mapping, MappingError
from assets.ingest.reading import LINE, columns_of, quote_name
from assets.ingest.unconverted import stands_on
from assets.ingest.unpacking import Limits

FAILS_ON_A_ROW = (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException)
"""What an expression raises because of a value; everything else is about the expression, or the machine."""
MOST_FAILING = 1_000
"""Rows on which an expression may fail. More are a mistake of the mapping."""
DECIMAL_COMMA = re.compile(r"'-?\d+,\d+'")
FRACTIONAL_TYPES = ("DOUBLE", "FLOAT")


class Sandbox:
    """One connection for one file and one mapping. Close it when the records are out."""

    def __init__(self, file: Path, mapping: Mapping, limits: Limits) -> None:
        self._file, self._mapping, self._limits = file, mapping, limits
        self.connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": limits.memory_limit,
                "threads": "2",
                "temp_directory": str(limits.spill_folder),  # nothing is written outside the state folder
                "python_enable_replacements": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_community_extensions": "false",
            },
        )
        self.connection.execute("set TimeZone = 'UTC'")
        # It would take an expression out of the case that keeps it from the rows on which it fails.
        self.connection.execute("set disabled_optimizers = 'common_subexpressions'")

    @property
    def file_name(self) -> str:
        """The file, as errors name it."""
        return self._file.name

    def lock(self) -> None:
        """Take the file system away, for good."""
        self.connection.execute("set enable_external_access = false")
        self.connection.execute("set lock_configuration = true")

    def close(self) -> None:
        """Forget the file."""
        self.connection.close()

    def one(self, sql: str) -> tuple[Any, ...]:
        """Return the one row of a query."""
        row = self.connection.execute(sql).fetchone()
        assert row is not None
        return row

    def execute(self, place: str, sql: str) -> None:
        """Run a statement that holds an expression of the mapping. Raises MappingError that names its place."""
        try:
            self.connection.execute(sql)
        except duckdb.Error as error:
            raise self.error(place, self._explained(error)) from error

    def failing_lines(
        self, place: str, expression: str, relation: str, *, where: str | None = None
    ) -> tuple[int, ...]:
        """Return the lines of a relation on which an expression fails.

        Raises MappingError if that is not because of a value, if no row converts, or if very many do not. The lines are
        found by halving: DuckDB's try() crashes on some expressions.
        """
        probe = f"select count(({expression}\n)) from {relation} where ({where or 'true'}\n)"
        whole = self._failure_of(probe)
        if whole is None:
            return ()
        line = quote_name(LINE)
        low, high = self.one(f"select min({line}), max({line}) from {relation}")
        failing: list[int] = []
        waiting = [(low, high)]
        while waiting and len(failing) <= MOST_FAILING and isinstance(whole, FAILS_ON_A_ROW):
            low, high = waiting.pop()
            if self._failure_of(f"{probe} and {line} between {low} and {high}") is None:
                continue
            if low == high:
                failing.append(low)
            else:
                middle = (low + high) // 2
                waiting += [(middle + 1, high), (low, middle)]
        if not 0 < len(failing) <= MOST_FAILING or not self.one(f"{probe} and not {stands_on(failing)}")[0]:
            raise self.error(place, self._explained(whole)) from whole
        return tuple(failing)

    def _failure_of(self, sql: str) -> duckdb.Error | None:
        try:
            self.connection.execute(sql).fetchall()
        except duckdb.Error as error:
            return error
        return None

    def type_of(self, place: str, expression: str, relation: str, *, grouping: str = "") -> str:
        """Return the type of one expression over a relation; it must be one expression and nothing else."""
        statement = f"select ({expression}\n) as value from {relation}{grouping}"
        try:
            parsed = duckdb.extract_statements(statement)
        except duckdb.Error as error:
            raise self.error(
                place,
                f'is no expression: {_first_line(error)} (a column named like an SQL word needs "quotes")',
            ) from error
        if len(parsed) != 1 or parsed[0].type != duckdb.StatementType.SELECT:
            raise self.error(place, "must be one expression, not several statements")
        self.execute(place, f"create or replace temp view probe_type as {statement}")
        return str(self.one("describe probe_type")[1])

    def error(self, place: str, message: str) -> MappingError:
        """Return the error of one setting of the mapping on this file."""
        return MappingError(f"mapping {self._mapping.name} on {self._file.name}: {place}: {message}")

    def _explained(self, error: duckdb.Error) -> str:
        line = _first_line(error)
        missing = re.search(r'Referenced column "(.+?)"', line)
        if missing:
            columns = columns_of(self.connection)
            close = difflib.get_close_matches(missing[1], columns, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {_listed(columns)}"
            return f"the file has no column {missing[1]}; {hint}"
        absent = re.search(r'Could not find key "(.+?)" in struct', line)
        if absent:
            known = re.search(r"Candidate Entries: (.+)", str(error))
            return f"the lookup has no column {absent[1]}" + (f"; it has {known[1]}" if known else "")
        if isinstance(error, duckdb.OutOfMemoryException):
            return (
                f"does not fit into {self._limits.memory_limit}; split the file, "
                "or raise CHALKLINE_IMPORT_MEMORY_LIMIT"
            )
        if DECIMAL_COMMA.search(line):
            return f"{line} (a decimal comma: replace(x, ',', '.')::double)"
        if "Conversion Error" in line or "Could not" in line:
            return f"{line} (use try_cast or try_strptime to leave such values empty)"
        return line


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _listed(columns: list[str], limit: int = 40) -> str:
    more = f" and {len(columns) - limit} more" if len(columns) > limit else ""
    return ", ".join(columns[:limit]) + more
