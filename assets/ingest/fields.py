"""Evaluates the fields of a mapping over its events, each by its expression: the relation `evaluated`.

What belongs here: the type that a field gives, and what becomes of a value that does not convert. What does not: rows
(events.py), texts and instants as any door would send them (evaluation.py).
"""

from __future__ import annotations

from collections.abc import Mapping as Mapped

import duckdb

from assets.ingest.mapping import Mapping, MappingError, field_class
from assets.ingest.reading import LINE, columns_of, quote_name
from assets.ingest.sandbox import FRACTIONAL_TYPES, Sandbox
from assets.ingest.unconverted import as_written, names_in, stands_on
from assets.ingest.wall_clocks import AWARE_TYPE, NAIVE_TYPES, naive_text_sql, wall_sql
from data.contracts import CONTRACTS

OUR_LINE = quote_name(LINE)
Lines = tuple[int, ...]


class Fields:
    """The fields of one mapping over the events of one file. failing_times: by local time the lines it fails on."""

    def __init__(self, sandbox: Sandbox, mapping: Mapping, failing_times: Mapped[str, Lines]) -> None:
        self._sandbox, self._mapping, self._failing_times = sandbox, mapping, failing_times
        self._connection = sandbox.connection
        self._contract = CONTRACTS[mapping.kind]
        self.walls: list[tuple[str, str]] = []
        """Relation and SQL of each wall clock among the fields."""

    def evaluate(self) -> dict[str, str]:
        """Make `evaluated`, and return the type of each field. Raises MappingError for what no row can give."""
        types = self._checked_types()
        self._evaluate(types)
        self._check_times(types)
        return types

    def _checked_types(self) -> dict[str, str]:
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
                f"mapping {self._mapping.name} on {self._sandbox.file_name}: "
                + "\n  ".join(["", *problems]).strip()
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

    def _evaluate(self, types: dict[str, str]) -> None:
        """Evaluate all fields. What does not convert on some row stands there as it was written, to be refused."""
        kept = {name: lines for name in types if (lines := self._failing_with_a_time(name))}
        try:
            self._create_evaluated(kept)
        except duckdb.Error as error:
            self._add_failing(kept, error)
            self._create_evaluated(kept)
        lost = [name for name in self._required_instants(types) if name not in kept and self._has_gaps(name)]
        if lost and not self._mapping.group_by:
            kept |= dict.fromkeys(lost, ())
            self._create_evaluated(kept)
        types.update(dict.fromkeys(kept, "VARCHAR"))

    def _create_evaluated(self, kept: Mapped[str, Lines]) -> None:
        fields = self._mapping.fields
        parts = [
            f"{self._kept(name, kept[name]) if name in kept else f'({fields[name]}{chr(10)})'} as {quote_name(name)}"
            for name in fields
        ]
        line = f"min({OUR_LINE})" if self._mapping.group_by else OUR_LINE
        self._connection.execute(
            f"create or replace table evaluated as select {', '.join(parts)}, {line} as {OUR_LINE} "
            f"from events{self._grouping()}"
        )

    def _kept(self, name: str, failing: Lines) -> str:
        """Return SQL of a field that gives what stands in the file where the expression does not convert it."""
        expression, times = self._mapping.fields[name], self._mapping.local_times
        names = names_in(self._connection, expression)
        read = [
            column
            for one in names
            for column in (names_in(self._connection, times[one]) if one in times else [one])
        ]
        known = {column.lower() for column in columns_of(self._connection)}
        written = as_written([column for column in dict.fromkeys(read) if column.lower() in known])
        # Without a needed field the record is refused in any case, so what stands in the file says more than nothing.
        is_needed = self._contract.model_fields[name].is_required()
        gone = "true" if is_needed else stands_on(self._failing_with_a_time(name))
        return (
            f"(case when {stands_on(failing)} then {written} "
            f"when {gone} and (({expression}\n) is null) then {written} else ({expression}\n)::varchar end)"
        )

    def _failing_with_a_time(self, name: str) -> Lines:
        """Return the lines on which a local time that the field reads does not convert."""
        if not any(self._failing_times.values()) or not self._can_stay_as_written(name):
            return ()
        read = names_in(self._connection, self._mapping.fields[name])
        return tuple(line for time in read for line in self._failing_times.get(time, ()))

    def _can_stay_as_written(self, name: str) -> bool:
        # A text has no other form, and what it is made of may be somebody's name.
        return field_class(self._mapping.kind, name) in ("instant", "number", "flag")

    def _add_failing(self, kept: dict[str, Lines], whole: duckdb.Error) -> None:
        """Add the fields that fail on some row; raise an error that names the one that cannot be kept."""
        found = False
        for name, expression in self._mapping.fields.items():
            place = f"fields.{name}"
            part = f"({expression}\n) as {quote_name(name)}"
            probe = f"create or replace temp table probe as select {part} from events{self._grouping()}"
            try:
                self._sandbox.execute(place, probe)
            except MappingError:
                if self._mapping.group_by or not self._can_stay_as_written(name):
                    raise
                kept[name] = self._sandbox.failing_lines(place, expression, "events")
                found = True
        if not found:
            if "must appear in the GROUP BY" in str(whole):
                raise self._sandbox.error(
                    "group_by", "is missing; some expression folds several rows, so say which belong together"
                ) from whole
            raise self._sandbox.error("fields", str(whole).splitlines()[0]) from whole

    def _required_instants(self, types: dict[str, str]) -> list[str]:
        fields = self._contract.model_fields
        return [
            name
            for name in types
            if fields[name].is_required()
            and field_class(self._mapping.kind, name) == "instant"
            and types[name] in ("VARCHAR", AWARE_TYPE, *NAIVE_TYPES)
        ]

    def _has_gaps(self, name: str) -> bool:
        return bool(self._sandbox.one(f"select count(*) from evaluated where {quote_name(name)} is null")[0])

    def _check_times(self, types: dict[str, str]) -> None:
        """Refuse what is no time, and texts that show a wall clock while nobody said whose."""
        zone = self._mapping.time_zone
        instants = [name for name in types if field_class(self._mapping.kind, name) == "instant"]
        for name in instants:
            place, column, given = f"fields.{name}", quote_name(name), types[name]
            if given in NAIVE_TYPES or given == "VARCHAR":
                if zone is not None:
                    self.walls.append(("evaluated", wall_sql(column, given)))
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

    def _grouping(self) -> str:
        return f" group by {', '.join(self._mapping.group_by)}" if self._mapping.group_by else ""
