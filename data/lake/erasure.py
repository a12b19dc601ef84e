"""One person in the personal catalogue: which texts tell of them, and taking these out.

What belongs here: the catalogue pii. What does not: every other place where a text may stand (orchestration.erasing),
and the records themselves, which carry an identifier only and stay.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from data.contracts.personal import IDENTIFYING, Person, is_about, personal_texts, text_without_personal
from data.lake.personal import forget_history, keep_only, no_intake
from data.lake.writer import LakeWriter
from data.traces import Traces, longest_first, replaced, spellings

SHORTEST_NAME = 5
"""Shorter ones stand within other words: searched for, they would be found where nobody meant them."""
SHORTEST_WORDS = 16
ROWS_AT_ONCE = 100_000
SPOKEN = ("student_comment", "tutor_comment", "ai_summary", "transcript_url", "video_url")


Refused = tuple[str, str | None, str]
"""Id, value and text of a refused record."""


def is_known(lake: LakeWriter, person: Person) -> bool:
    """Tell whether any record that came in names this person."""
    kinds = {f"{person.kind}s": f"{person.kind}_id", "sessions": f"{person.kind}_id"}
    if person.kind == "customer":
        kinds["inbound_calls"] = "customer_id"
    return any(
        lake.read(
            f"select 1 from lake.raw_marketplace.{kind} where {column} = $id limit 1",
            {"id": person.person_id},
        ).height
        for kind, column in kinds.items()
    )


def traces_of(
    lake: LakeWriter, person: Person, documents: Iterable[Any] = (), *, of_others: Collection[str] = ()
) -> Traces:
    """Return the texts that tell of a person: in the catalogue, in refused records, and in these documents about them.

    of_others are names of other people that the catalogue does not know.
    """
    own, told = _names_of(lake, person), _words_of(lake, person)
    # Those about them alone: a record that only holds a name of theirs may be about somebody of the same name.
    refused = [_document(text) for _, _, text in _refused(lake, person, ())]
    for document in (*documents, *refused):
        for name, text in personal_texts(document):
            (own if name in IDENTIFYING else told).add(text.strip())
    long_own = {text for text in own if len(text) >= SHORTEST_NAME}
    long_told = {text for text in told if len(text) >= SHORTEST_WORDS} - long_own
    shared_own = _standing_in(
        long_own, [pl.Series(list(of_others), dtype=pl.String), *_names_of_others(lake, person)]
    )
    shared_told = _standing_in(long_told, _words_of_others(lake, person))
    return Traces(
        identifier=person.person_id,
        own=tuple(sorted(long_own - shared_own)),
        told=tuple(sorted(long_told - shared_told)),
        shared_count=len(shared_own | shared_told),
        short_count=len(own - long_own) + len(told - long_told - long_own),
    )


def names_of(lake: LakeWriter, person: Person) -> tuple[str, ...]:
    """Return every name and contact that is known of a person, also those that others have too, the longest first."""
    return longest_first(_names_of(lake, person))


def _names_of(lake: LakeWriter, person: Person) -> set[str]:
    fields = "full_name, email, phone" if person.kind == "customer" else "full_name, email"
    rows = lake.read(
        f"select distinct trim(unnest([{fields}])) as text from pii.{person.kind}s where {person.kind}_id = $id",
        {"id": person.person_id},
    )
    return {text for text in rows["text"] if text}


def _names_of_others(lake: LakeWriter, person: Person) -> Iterator[pl.Series]:
    for kind, fields in (("customer", "full_name, email, phone"), ("tutor", "full_name, email")):
        same = kind == person.kind
        yield lake.read(
            f"select distinct unnest([{fields}]) as text from pii.{kind}s where not $same or {kind}_id <> $id",
            {"same": same, "id": person.person_id},
        )["text"]


_THEIRS = "(select distinct session_id from lake.raw_marketplace.sessions where {kind}_id = $id)"


def _words_of(lake: LakeWriter, person: Person) -> set[str]:
    theirs = _THEIRS.format(kind=person.kind)
    rows = lake.read(
        f"select distinct trim(unnest([{', '.join(SPOKEN)}])) as text from pii.sessions "
        f"semi join {theirs} as theirs using (session_id)",
        {"id": person.person_id},
    )
    return {text for text in rows["text"] if text}


def _words_of_others(lake: LakeWriter, person: Person) -> Iterator[pl.Series]:
    theirs = _THEIRS.format(kind=person.kind)
    result = lake.connection.execute(
        f"select unnest([{', '.join(SPOKEN)}]) as text from pii.sessions "
        f"anti join {theirs} as theirs using (session_id)",
        {"id": person.person_id},
    )
    for batch in result.to_arrow_reader(ROWS_AT_ONCE):
        yield pl.Series(pl.from_arrow(batch).to_series())  # type: ignore[union-attr]


def _standing_in(texts: Collection[str], others: Iterable[pl.Series]) -> set[str]:
    """Return which of these texts stand in any of those."""
    found: set[str] = set()
    for series in others:
        if not texts:
            break
        parts = series.drop_nulls().str.extract_many(sorted(texts), overlapping=True).explode()
        found.update(parts.drop_nulls().unique().to_list())
    return found


def _refused(lake: LakeWriter, person: Person, spelled: Collection[str]) -> list[Refused]:
    """Return the refused records that are about a person, or in which one of these texts stands."""
    rows = lake.read(
        "select quarantine_id, value, record_json from pii.quarantined_records where contains(record_json, $id) "
        "or exists (select 1 from (select unnest($texts::varchar[]) as one) as known "
        "where contains(record_json, one) or contains(value, one))",
        {"id": json.dumps(person.person_id)[1:-1], "texts": list(spelled)},
    )
    return [
        (identifier, value, text)
        for identifier, value, text in rows.iter_rows()
        if _is_theirs(text, person) or any(one in text or one in (value or "") for one in spelled)
    ]


def _is_theirs(text: str, person: Person) -> bool:
    # What cannot be read but holds their identifier may be about them.
    document = _document(text)
    return is_about(document, [person]) if document is not None else person.person_id in text


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def held_of(lake: LakeWriter, person: Person, traces: Traces) -> int:
    """Count the personal rows that are keyed to a person or hold one of their texts."""
    keyed = lake.read(
        f"select (select count(*) from pii.{person.kind}s where {person.kind}_id = $id) + "
        f"(select count(*) from pii.sessions semi join {_THEIRS.format(kind=person.kind)} as theirs "
        "using (session_id))",
        {"id": person.person_id},
    ).item()
    refused = sum(
        row[1:] != _cleaned(row, person, traces)[1:] for row in _refused(lake, person, traces.spelled)
    )
    return int(keyed) + _mentions(lake, person, traces.own).height + refused


def _cleaned(row: Refused, person: Person, traces: Traces) -> Refused:
    identifier, value, text = row
    if _is_theirs(text, person):
        value, text = None, text_without_personal(text)
    escaped = json.dumps(person.person_id)[1:-1]
    cleaned = None if value is None else replaced(value, traces.spelled, escaped)
    return identifier, cleaned, replaced(text, traces.spelled, escaped)


def _mentions(lake: LakeWriter, person: Person, names: Sequence[str]) -> pl.DataFrame:
    """Return the rows of other people's sessions in which a name or contact stands."""
    holds = " or ".join(f"contains({column}, name)" for column in SPOKEN)
    return lake.read(
        f"select others.* from pii.sessions as others anti join {_THEIRS.format(kind=person.kind)} as theirs "
        f"using (session_id) where exists (select 1 from (select unnest($names::varchar[]) as name) as known "
        f"where {holds})",
        {"id": person.person_id, "names": [one for name in names for one in spellings(name)]},
    )


def erase(lake: LakeWriter, person: Person, traces: Traces) -> None:
    """Take a person out of the catalogue, and its older files with them. Safe to repeat, and to stop anywhere.

    Rows that are theirs go. In what others said, their name gives way to their identifier; of refused records only
    what no contract calls personal is left.
    """
    with no_intake(lake):
        _erase_keyed(lake, person)
        _erase_sessions(lake, person, traces)
        _erase_refused(lake, person, traces)
        forget_history(lake, is_alone=True)


def _erase_keyed(lake: LakeWriter, person: Person) -> None:
    relation, key = f"{person.kind}s", f"{person.kind}_id"
    keep_only(lake, relation, f"select * from pii.{relation} where {key} <> $id", {"id": person.person_id})


def _erase_sessions(lake: LakeWriter, person: Person, traces: Traces) -> None:
    spelled = longest_first(one for name in traces.own for one in spellings(name))
    changed = _mentions(lake, person, traces.own).with_columns(
        pl.col(column).str.replace_many(list(spelled), [person.person_id] * len(spelled), leftmost=True)
        for column in (SPOKEN if spelled else ())
    )
    theirs = _THEIRS.format(kind=person.kind)
    lake.connection.register("changed_rows", changed)
    try:
        keep_only(
            lake,
            "sessions",
            f"select kept.* from pii.sessions as kept anti join {theirs} as theirs using (session_id) "
            "anti join changed_rows as changed using (session_id, version_hash) "
            "union all by name select * from changed_rows",
            {"id": person.person_id},
        )
    finally:
        lake.connection.unregister("changed_rows")


def _erase_refused(lake: LakeWriter, person: Person, traces: Traces) -> None:
    changed = pl.DataFrame(
        [_cleaned(row, person, traces) for row in _refused(lake, person, traces.spelled)],
        schema=dict.fromkeys(("quarantine_id", "value", "record_json"), pl.String()),
        orient="row",
    )
    lake.connection.register("changed_rows", changed)
    try:
        keep_only(
            lake,
            "quarantined_records",
            "select kept.* from pii.quarantined_records as kept anti join changed_rows as changed "
            "using (quarantine_id) union all by name select * from changed_rows",
        )
    finally:
        lake.connection.unregister("changed_rows")


def files_holding(lake: LakeWriter, path: str, traces: Traces) -> int:
    """Count the Parquet files below a path that hold a text, whether or not a snapshot still names them."""
    files = lake.read("select file from glob($pattern)", {"pattern": f"{path}**/*.parquet"})["file"]
    return sum(_file_holds(lake, file, traces) for file in files)


def _file_holds(lake: LakeWriter, file: str, traces: Traces) -> bool:
    result = lake.connection.execute("select columns(*)::varchar from read_parquet($file)", {"file": file})
    for batch in result.to_arrow_reader(ROWS_AT_ONCE):
        frame = pl.DataFrame(pl.from_arrow(batch))
        if any(traces.count_in(frame[column].drop_nulls()) for column in frame.columns):
            return True
    return False
