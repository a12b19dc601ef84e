"""What a mapping made of a file, in numbers, and what in it is worth a look before somebody trusts it.

What belongs here: counting. What does not: words (report.py), refusals (refusals.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from assets.ingest.events import Oddity, count_unmatched
from assets.ingest.mapping import Mapping
from assets.ingest.reading import LINE, quote_name
from assets.ingest.sandbox import Sandbox
from assets.ingest.wall_clocks import parsed_sql
from data.contracts import CONTRACTS

OUR_LINE = quote_name(LINE)


@dataclass(frozen=True)
class Evaluated:
    """What a mapping made of a file, before anything is judged or stored.

    empty_fields: contract fields that nothing fills. partly_empty: mapped fields that some records lack, with the first
    line without. changed_customers: ids that stand for two customers, with the last line of each.
    """

    file_row_count: int
    record_count: int
    empty_fields: tuple[str, ...]
    partly_empty: tuple[Oddity, ...]
    changed_customers: tuple[Oddity, ...]
    lacking_columns: tuple[str, ...]
    unmatched: tuple[Oddity, ...]
    repeated_times: Oddity
    skipped_times: Oddity
    first_event_at: datetime | None
    last_event_at: datetime | None


def summarise(
    sandbox: Sandbox, mapping: Mapping, walls: Sequence[tuple[str, str]], lacking: tuple[str, ...]
) -> Evaluated:
    """Count what stands in `mapped`. walls: relation and SQL of each wall clock. Raises MappingError if it is empty."""
    contract = CONTRACTS[mapping.kind]
    fields = list(mapping.fields)
    counts = ", ".join(f"count({quote_name(name)})" for name in fields)
    instant = parsed_sql(quote_name(contract.event_time))
    span = f"min({instant}), max({instant})" if contract.event_time in fields else "null, null"
    row = sandbox.one(f"select count(*), {span}, {counts} from mapped")
    file_row_count = sandbox.one("select count(*) from file")[0]
    if row[0] == 0:
        place = "where" if mapping.where is not None else "repeat"
        raise sandbox.error(place, f"keeps none of the {file_row_count:,} rows")
    filled = dict(zip(fields, row[3:], strict=True))
    fixed = mapping.constants.keys() | mapping.defaults.keys()
    known = {name for name, count in filled.items() if count} | fixed
    return Evaluated(
        file_row_count=file_row_count,
        record_count=row[0],
        empty_fields=tuple(name for name in contract.model_fields if name not in known),
        partly_empty=tuple(_partly_empty(sandbox, mapping, filled, records=row[0])),
        changed_customers=tuple(_changed_customers(sandbox, mapping)),
        lacking_columns=lacking,
        unmatched=count_unmatched(sandbox, mapping),
        repeated_times=_clock_changes(sandbox, mapping, walls, "is_repeated"),
        skipped_times=_clock_changes(sandbox, mapping, walls, "is_skipped"),
        first_event_at=row[1],
        last_event_at=row[2],
    )


def _partly_empty(
    sandbox: Sandbox, mapping: Mapping, filled: dict[str, int], *, records: int
) -> Iterator[Oddity]:
    for name, count in filled.items():
        if 0 < count < records and name not in mapping.defaults:
            first = f"select min({OUR_LINE}) from mapped where {quote_name(name)} is null"
            yield Oddity(name, records - count, sandbox.one(first)[0])


def _changed_customers(sandbox: Sandbox, mapping: Mapping) -> Iterator[Oddity]:
    key, customer = CONTRACTS[mapping.kind].key, "customer_id"
    if key == customer or not {key, customer} <= mapping.fields.keys():
        return
    column = quote_name(key)
    found = sandbox.connection.execute(
        f"select {column}, count(*), max({OUR_LINE}) from mapped where {column} is not null "
        f"group by {column} having count(distinct {quote_name(customer)}) > 1 order by max({OUR_LINE})"
    ).fetchall()
    yield from (Oddity(str(identifier), count, line) for identifier, count, line in found)


def _clock_changes(
    sandbox: Sandbox, mapping: Mapping, walls: Sequence[tuple[str, str]], condition: str
) -> Oddity:
    count, lines = 0, []
    for relation, wall in walls:
        found = sandbox.one(f"select count(*), min({OUR_LINE}) from {relation} where {condition}({wall})")
        count += found[0]
        lines += [found[1]] if found[0] else []
    return Oddity(mapping.time_zone or "", count, min(lines, default=None))
