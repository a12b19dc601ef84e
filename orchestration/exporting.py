"""Handing out what is held about one person: a folder of readable files, with a page that says what is what.

What belongs here: which relations and texts are theirs. What does not: erasing (orchestration.erasing). Facts are those
of the newest published version. Names, mails and phones of other people are left out of every text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from data.contracts.personal import Person, blanked, is_about
from data.lake.connection import LakeError
from data.lake.erasure import SHORTEST_NAME
from data.lake.reader import LakeReader
from data.operations import audit, erasures, publications, users
from data.operations.tables import AlertEpisode, EpisodeEvent, Erasure
from data.traces import longest_first
from orchestration.erasing import require_known

if TYPE_CHECKING:
    from assets.resources import House

SOMEBODY_ELSE = "[somebody else]"


@dataclass(frozen=True)
class Part:
    """One file of an export: its name, what it holds, and its query; $id is the person."""

    name: str
    says: str
    query: str


_SESSION_TEXTS = (
    "select texts.* from pii.sessions as texts semi join "
    "(select distinct session_id from raw_marketplace.sessions where {kind}_id = $id) as theirs using (session_id) "
    "order by session_id, ingested_at, version_hash"
)
PARTS: dict[str, tuple[Part, ...]] = {
    "customer": (
        Part("account", "names and contacts, every version that came in",
             "select * from pii.customers where customer_id = $id order by ingested_at, version_hash"),
        Part("profile", "the rest of the account: zone, channel, goals, every version",
             "select * from raw_marketplace.customers where customer_id = $id order by ingested_at, version_hash"),
        Part("sessions", "one line per session", "select * from core.fct_sessions where customer_id = $id "
             "order by scheduled_start_at, session_id"),
        Part("session_texts", "comments, summaries and links of them", _SESSION_TEXTS.format(kind="customer")),
        Part("calls", "calls to support", "select * from core.fct_inbound_calls where customer_id = $id "
             "order by called_at, call_id"),
        Part("reschedules", "moves of sessions", "select * from raw_marketplace.reschedules where customer_id = $id "
             "order by rescheduled_at, reschedule_id"),
        Part("events", "what was done in the apps", "select * from core.fct_engagement_events "
             "where actor_type = 'customer' and actor_id = $id order by occurred_at, event_id"),
        Part("scores", "scores with their components, by day", "select * from marts.fct_customer_scores "
             "where customer_id = $id order by as_of_date, score_code, formula_version"),
    ),
    "tutor": (
        Part("account", "names and contacts, every version that came in",
             "select * from pii.tutors where tutor_id = $id order by ingested_at, version_hash"),
        Part("profile", "the rest of the account: zone, subjects, availability, leave, every version",
             "select * from raw_marketplace.tutors where tutor_id = $id order by ingested_at, version_hash"),
        Part("sessions", "one line per session", "select * from core.fct_sessions where tutor_id = $id "
             "order by scheduled_start_at, session_id"),
        Part("session_texts", "comments, summaries and links of them", _SESSION_TEXTS.format(kind="tutor")),
        Part("reschedules", "moves of sessions", "select * from raw_marketplace.reschedules where tutor_id = $id "
             "order by rescheduled_at, reschedule_id"),
        Part("events", "what was done in the apps", "select * from core.fct_engagement_events "
             "where actor_type = 'tutor' and actor_id = $id order by occurred_at, event_id"),
        Part("scores", "scores with their components, by day", "select * from marts.fct_tutor_scores "
             "where tutor_id = $id order by as_of_date, score_code, formula_version"),
    ),
}  # fmt: skip
NAMES = {
    "customer": "select customer_id, unnest([full_name, email, phone]) as text from pii.customers",
    "tutor": "select tutor_id, unnest([full_name, email]) as text from pii.tutors",
}
REFUSED = (
    "select refused.source, refused.kind, refused.field, refused.reason, refused.first_seen_at, texts.record_json "
    "from raw_quality.quarantined_records as refused join pii.quarantined_records as texts using (quarantine_id) "
    "where contains(texts.record_json, $id) order by refused.first_seen_at, refused.quarantine_id"
)


def export(house: House, person: Person, folder: Path, *, actor: str) -> list[Path]:
    """Write everything that is held about a person and return the files. Audited by identifier.

    Raises NobodyKnown, FileExistsError when the folder holds anything, and LakeError before the first publication.
    Of somebody who was erased it writes what is left, which names nobody.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; an export wants a folder of its own")
    with house.lake() as lake:
        require_known(lake, person)
    version, reader = _published(house)
    try:
        others = _Others(_texts_of_others(house, reader, person))
        frames = {part.name: (part.says, others.left_out(reader.query(part.query, {"id": person.person_id})))
                  for part in PARTS[person.kind]}  # fmt: skip
        refused = reader.query(REFUSED, {"id": person.person_id})
        is_theirs = [_is_theirs(text, person) for text in refused["record_json"]]
        refused = refused.filter(pl.Series(is_theirs, dtype=pl.Boolean))
        frames["refused_records"] = ("records about them that broke a contract", others.left_out(refused))
    finally:
        reader.close()
    frames |= {name: (says, others.left_out(rows)) for name, says, rows in _decided(house, person)}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = [file for name, (_, rows) in frames.items() for file in _write(folder, name, rows)]
    files.append(_read_me(folder, person, version, frames))
    _audit(house, person, len(files), actor=actor)
    return files


def _is_theirs(text: str, person: Person) -> bool:
    try:
        return is_about(json.loads(text), [person])
    except (ValueError, RecursionError):
        return True


def _published(house: House) -> tuple[int, LakeReader]:
    with house.operations.session() as session:
        row = publications.current(session)
    if row is None:
        raise LakeError("nothing is published yet; run `make day` or `chalkline run nightly`")
    return row.publication_id, LakeReader(house.settings, snapshot_id=row.lake_snapshot_id, personal=True)


class _Others:
    """What names other people, to be left out of texts. Names shorter than a word of five letters are not found."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = list(longest_first(texts))

    def left_out(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows whose texts name nobody else."""
        columns = [name for name, kind in rows.schema.items() if kind == pl.String]
        if not self._texts or not columns:
            return rows
        return rows.with_columns(
            pl.col(name).str.replace_many(self._texts, [SOMEBODY_ELSE] * len(self._texts), leftmost=True)
            for name in columns
        )


def _texts_of_others(house: House, reader: LakeReader, person: Person) -> list[str]:
    found: set[str] = set()
    own: set[str] = set()
    for kind, query in NAMES.items():
        rows = reader.query(query)
        for identifier, text in rows.drop_nulls().iter_rows():
            (own if (kind, identifier) == (person.kind, person.person_id) else found).add(text)
    with house.operations.session() as session:
        for user in users.list_users(session, only_active=False):
            found |= {user.name, user.email}
    return [text for text in found - own if len(text) >= SHORTEST_NAME]


def _decided(house: House, person: Person) -> Iterator[tuple[str, str, pl.DataFrame]]:
    with house.operations.session() as session:
        alerts = session.scalars(
            sa.select(AlertEpisode).where(erasures.episodes_about(person)).order_by(AlertEpisode.opened_at)
        ).all()
        theirs = {alert.episode_id for alert in alerts}
        notes = session.scalars(
            sa.select(EpisodeEvent).where(EpisodeEvent.episode_id.in_(theirs)).order_by(EpisodeEvent.event_id)
        ).all()
        mails = erasures.linked_mails(session, person)
        asked = session.scalars(
            sa.select(Erasure)
            .where(Erasure.person_kind == person.kind, Erasure.person_id == person.person_id)
            .order_by(Erasure.erasure_id)
        ).all()
    yield "alerts", "what the rules found, and what became of it", _frame(
        {"alert_id": str(a.episode_id), "rule_code": a.rule_code, "title": a.title, "severity": a.severity,
         "status": a.status, "opened_at": a.opened_at, "resolved_at": a.resolved_at, "resolution": a.resolution,
         "evidence": json.dumps(a.evidence, ensure_ascii=False)} for a in alerts
    )  # fmt: skip
    yield "alert_history", "each step of these alerts, with notes; who took it is left out", _frame(
        {"alert_id": str(n.episode_id), "at": n.at, "kind": n.kind,
         "details": json.dumps(n.details, ensure_ascii=False)} for n in notes
    )  # fmt: skip
    yield "mails", "mails that tell of them; the text only of those that tell of nobody else", _frame(
        {"created_at": m.created_at, "kind": m.kind, "status": m.status,
         "subject": m.subject if set(m.episode_ids) <= theirs else None,
         "text": m.text if set(m.episode_ids) <= theirs else None} for m in mails
    )  # fmt: skip
    yield "messages", "webhook messages that name them; their content is in the files above", _frame(
        {"message_id": drop.message_id, "received_at": drop.received_at, "source": drop.source}
        for drop in house.landing.messages()
        if blanked(drop.body, [person]) != drop.body or person.person_id.encode() in drop.body
    )  # fmt: skip
    yield (
        "requests",
        "requests to be erased",
        _frame({"requested_at": e.requested_at, "finished_at": e.finished_at} for e in asked),
    )


def _frame(rows: Iterator[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), infer_schema_length=None)


def _write(folder: Path, name: str, rows: pl.DataFrame) -> Iterator[Path]:
    table, records = folder / f"{name}.csv", folder / f"{name}.json"
    flat = [
        pl.Series(
            column, [json.dumps(value, default=str, ensure_ascii=False) for value in rows[column].to_list()]
        )
        if kind.is_nested()
        else rows[column]
        for column, kind in rows.schema.items()
    ]
    pl.DataFrame(flat).write_csv(table)
    records.write_text(json.dumps(rows.to_dicts(), default=str, ensure_ascii=False, indent=1) + "\n")
    yield table
    yield records


def _read_me(folder: Path, person: Person, version: int, frames: dict[str, tuple[str, pl.DataFrame]]) -> Path:
    lines = [
        f"# What is held about {person}",
        "",
        f"Each file comes twice, as CSV and as JSON. Facts are those of published version {version}; times are UTC.",
        "Other people are named by identifiers only. In texts their names, mails and phones are left out where they",
        "stand as they are known to us; a first name alone, or a misspelling, cannot be told from another word.",
        "",
        "| File | Rows | What it holds |",
        "|---|---|---|",
        *(f"| {name} | {rows.height} | {says} |" for name, (says, rows) in frames.items()),
    ]
    page = folder / "README.md"
    page.write_text("\n".join(lines) + "\n")
    return page


def _audit(house: House, person: Person, file_count: int, *, actor: str) -> None:
    with house.operations.session() as session:
        audit.append(
            session,
            actor=actor,
            action="person.exported",
            object_name=f"{person.kind}:{person.person_id}",
            details={"files": file_count},
            now=house.clock.now(),
        )
