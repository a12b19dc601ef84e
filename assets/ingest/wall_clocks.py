"""Wall clocks to instants, in SQL: the zone of a source, both nights of the year, and times that are text.

What belongs here: the conversion and its two oddities. What does not: which field is a time (mapping.py).
"""

from __future__ import annotations

from data.lake.connection import quote

UTC_TEXT = "%Y-%m-%dT%H:%M:%S.%fZ"
WALL_TEXT = r"\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?"
OFFSET_TEXT = r"\d{4}-\d{1,2}-\d{1,2}[T ]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)? ?(Z|z|[+-]\d{2}(:?\d{2})?)"
NAIVE_TYPES = ("TIMESTAMP", "DATE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
AWARE_TYPE = "TIMESTAMP WITH TIME ZONE"

# A wall clock to an instant. DuckDB reads a time that occurs twice as the later one: we step back to the
# earlier. It shifts a time that never occurs forward by the gap, which is what we want.
ZONE_MACROS = """
create macro plain_instant(wall) as (wall at time zone {zone});
create macro shows(instant, wall) as ((instant at time zone {zone}) = wall);
create macro in_zone(wall) as (case
    when shows(plain_instant(wall) - interval 2 hour, wall) then plain_instant(wall) - interval 2 hour
    when shows(plain_instant(wall) - interval 1 hour, wall) then plain_instant(wall) - interval 1 hour
    when shows(plain_instant(wall) - interval 30 minute, wall) then plain_instant(wall) - interval 30 minute
    else plain_instant(wall) end);
create macro is_repeated(wall) as (in_zone(wall) <> plain_instant(wall));
create macro is_skipped(wall) as (not shows(plain_instant(wall), wall))
"""


def zone_macros(time_zone: str) -> list[str]:
    """Return the statements that teach a connection one zone: in_zone, is_repeated and is_skipped."""
    return ZONE_MACROS.format(zone=quote(time_zone)).split(";")


def instant_sql(column: str, given: str, time_zone: str | None) -> str:
    """Return SQL that gives a time as ISO text in UTC; text that is no time stays as it is, to be refused."""
    if given in NAIVE_TYPES:
        return f"strftime(in_zone({column}::timestamp) at time zone 'UTC', '{UTC_TEXT}')"
    if given == AWARE_TYPE:
        return f"strftime({column} at time zone 'UTC', '{UTC_TEXT}')"
    text = f"trim({column}::varchar)"
    aware = (
        f"when regexp_full_match({text}, '{OFFSET_TEXT}') and try_cast({text} as timestamptz) is not null "
        f"then strftime(try_cast({text} as timestamptz) at time zone 'UTC', '{UTC_TEXT}')"
    )
    naive = (
        f"when regexp_full_match({text}, '{WALL_TEXT}') and try_cast({text} as timestamp) is not null "
        f"then strftime(in_zone(try_cast({text} as timestamp)) at time zone 'UTC', '{UTC_TEXT}')"
        if time_zone is not None
        else ""
    )
    # A bare number would be taken for seconds since 1970; the contract must see that it is no time.
    number = f"when try_cast({text} as double) is not null then 'not a time: ' || {text}"
    return f"case when {text} = '' then null {aware} {naive} {number} else {column}::varchar end"


def wall_sql(column: str, given: str) -> str:
    """Return SQL that gives the wall clock of a time without a zone, NULL where there is none."""
    if given == "VARCHAR":
        return f"case when {naive_text_sql(column)} then try_cast(trim({column}) as timestamp) end"
    return f"{column}::timestamp"


def naive_text_sql(column: str) -> str:
    """Return a condition: this text is a time without a zone."""
    return f"regexp_full_match(trim({column}), '{WALL_TEXT}')"


def parsed_sql(column: str) -> str:
    """Return SQL that gives the naive UTC timestamp of a converted time, NULL for what is none."""
    return f"try_strptime({column}, '{UTC_TEXT}')"
