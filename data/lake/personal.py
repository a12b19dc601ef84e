"""Personal data: names, contacts and texts, in a catalogue of its own beside the lake. No history of it is kept.

What belongs here: storing it, recalling who was erased, sweeping what has lost its record. What does not: erasing a
person (data.lake.erasure), and who may read it (data.lake.reader).

One transaction writes one catalogue. Personal rows are stored first, keyed by id and version: a process that is killed
before the records follow leaves texts without a record, which the rerun finds in place and upkeep sweeps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime

import polars as pl

from data.contracts import CONTRACTS, KINDS, Kind, Refusal
from data.contracts.personal import NAMED_BY, Person, blanked
from data.lake.writer import LakeWriter

ERASED = "raw_operations.erased_people"


@contextmanager
def no_intake(lake: LakeWriter) -> Iterator[None]:
    """Keep every kind of record out for the length of a block; what is being taken in now ends first."""
    with ExitStack() as locks:
        for kind in KINDS:
            locks.enter_context(lake.alone(f"intake.{kind}"))
        yield


def store_personal(lake: LakeWriter, kind: Kind, rows: pl.DataFrame, *, ingested_at: datetime) -> None:
    """Keep the personal fields of these rows, in a transaction of its own. A version that is there stays as it is.

    Nothing is kept of people who were erased. Call while holding the kind's intake lock, before the rows are stored.
    """
    contract = CONTRACTS[kind]
    if not contract.personal or rows.is_empty():
        return
    fields = sorted(contract.personal)
    present = pl.any_horizontal(pl.col(name).is_not_null() for name in fields)
    personal = without_the_erased(kind, rows, erased_people(lake)).filter(present)
    fresh = personal.join(_known(lake, kind, personal), on=[contract.key, "version_hash"], how="anti")
    stamp = pl.lit(ingested_at).cast(pl.Datetime("us")).alias("ingested_at")
    lake.append(f"pii.{kind}", fresh.select(contract.key, "version_hash", *fields).with_columns(stamp))


def _known(lake: LakeWriter, kind: Kind, rows: pl.DataFrame) -> pl.DataFrame:
    key = CONTRACTS[kind].key
    lake.connection.register("incoming_personal", rows.select(key, "version_hash"))
    try:
        return lake.read(
            f"select {key}, version_hash from pii.{kind} as stored "
            f"semi join incoming_personal as incoming using ({key}, version_hash) "
            f"where stored.{key} between $low and $high",
            {"low": rows[key].min(), "high": rows[key].max()},
        )
    finally:
        lake.connection.unregister("incoming_personal")


def store_refused_texts(lake: LakeWriter, refusals: Sequence[Refusal]) -> None:
    """Keep the texts of refused records, once each, in a transaction of its own. Call as store_personal."""
    if not refusals:
        return
    erased = erased_people(lake)
    texts = pl.DataFrame(
        [_told(refusal, erased) for refusal in refusals],
        schema=dict.fromkeys(("quarantine_id", "value", "record_json"), pl.String()),
        orient="row",
    ).unique(subset="quarantine_id", keep="first", maintain_order=True)
    known = lake.read(
        "select quarantine_id from pii.quarantined_records where quarantine_id in (select unnest($ids::varchar[]))",
        {"ids": texts["quarantine_id"].to_list()},
    )
    lake.append("pii.quarantined_records", texts.join(known, on="quarantine_id", how="anti"))


def _told(refusal: Refusal, erased: Collection[Person]) -> tuple[str, str | None, str]:
    text = refusal.record_json
    kept = blanked(text.encode(), erased).decode()
    return refusal.quarantine_id, refusal.value if kept == text else None, kept


def erased_people(lake: LakeWriter) -> frozenset[Person]:
    """Return everybody who was erased. Ask while holding an intake lock: later ones wait for it."""
    rows = lake.read(f"select distinct person_kind, person_id from lake.{ERASED}")
    return frozenset(Person(kind, person_id) for kind, person_id in rows.iter_rows())


def remember_erased(lake: LakeWriter, person: Person, *, erased_at: datetime) -> None:
    """From now on keep nothing personal of somebody (naive UTC). Safe to repeat."""
    if person not in erased_people(lake):
        row = {"person_kind": person.kind, "person_id": person.person_id, "erased_at": erased_at}
        lake.append(ERASED, pl.DataFrame([row]))


def without_the_erased(kind: Kind, rows: pl.DataFrame, erased: Collection[Person]) -> pl.DataFrame:
    """Return rows of a kind with the personal fields of erased people empty. Their version_hash stays.

    A session is as much its customer's as its tutor's: if either was erased, nothing that was said in it is kept.
    """
    named = [
        pl.col(column).is_in([person.person_id for person in erased if person.kind == who])
        for column, who in NAMED_BY.get(kind, {}).items()
    ]
    if not erased or not named:
        return rows
    is_erased = pl.any_horizontal(named).fill_null(value=False)
    return rows.with_columns(
        pl.when(is_erased).then(None).otherwise(pl.col(name)).alias(name)
        for name in sorted(CONTRACTS[kind].personal)
    )


def sweep_orphans(lake: LakeWriter) -> int:
    """Remove texts whose record never followed, and return how many. Waits for what is being taken in."""
    swept = 0
    with no_intake(lake):
        for relation, key, owner in _owners():
            lost = lake.read(
                f"select count(*) from pii.{relation} anti join {owner} using ({', '.join(key)})"
            ).item()
            if lost:
                keep_only(lake, relation, f"select kept.* from pii.{relation} as kept semi join {owner} "
                          f"using ({', '.join(key)})")  # fmt: skip
                swept += lost
    return swept


def _owners() -> Iterator[tuple[str, tuple[str, ...], str]]:
    for kind in NAMED_BY:
        yield kind, (CONTRACTS[kind].key, "version_hash"), f"lake.raw_marketplace.{kind}"
    yield "quarantined_records", ("quarantine_id",), "lake.raw_quality.quarantined_records"


def keep_only(
    lake: LakeWriter, relation: str, query: str, parameters: dict[str, object] | None = None
) -> None:
    """Replace a personal table by what a query over it gives, in one transaction.

    Made anew, not deleted from: deleted rows would stay in their files, and their least and greatest values in the
    statistics of the table.
    """
    lake.connection.execute(f"create or replace table pii.{relation} as {query}", parameters or {})


def forget_history(lake: LakeWriter, *, is_alone: bool) -> int:
    """Expire every older snapshot of personal data and remove its files at once. Returns how many files.

    is_alone says that nobody takes anything in meanwhile: then files that belong to no snapshot go, however young.
    """
    connection = lake.connection
    connection.execute("call ducklake_expire_snapshots('pii', older_than => now())")
    removed = connection.execute("call ducklake_cleanup_old_files('pii', cleanup_all => true)").fetchall()
    young = "cleanup_all => true" if is_alone else "older_than => now() - interval '1 hour'"
    removed += connection.execute(f"call ducklake_delete_orphaned_files('pii', {young})").fetchall()
    return len(removed)
