"""Erasing one person: every place where something personal of them may stand, cleared, and searched afterwards.

What belongs here: the order of the steps, and the proof. What does not: how each store finds and clears texts (data).
Facts keep the identifier, which then says nothing of anybody, so that counts stay true.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.ingest.messages import TAKER
from data.clock import naive_utc
from data.contracts.personal import Person, blanked
from data.failpoints import failpoint
from data.lake import erasure
from data.lake.personal import no_intake, remember_erased
from data.lake.writer import LakeWriter
from data.operations import erasures, users
from data.postgres import PERSONAL_CATALOGUE, advisory_lock, engine_for, open_postgres
from data.postgres_texts import count_rows, replace_texts, rewrite_tables, tables_of
from data.state_files import clear, holds, loose_files
from data.traces import Traces, longest_first, replaced, spellings
from notifications.message import Message
from notifications.senders.file_outbox import FileSender
from orchestration.erasure_memory import Memory

if TYPE_CHECKING:
    from assets.resources import House

STAFF = ("users",)
"""Who may sign in: people of the house, who are no customers or tutors."""
UNCHANGED = (*STAFF, "audit_log", "audit_heads", "alembic_version")
MESSAGES_AT_ONCE = 2_000
PROOF = ("searched", "shared", "short", "before", "after")

Say = Callable[[str], None]
Counts = dict[str, int]


class NobodyKnown(ValueError):
    """No record names this person, so there is nothing to erase or export. Most likely the identifier is mistyped."""


@dataclass(frozen=True)
class ErasureReport:
    """What was found before and after, by place, and how many texts were searched for."""

    person: Person
    searched: int
    shared: int
    short: int
    before: Counts
    after: Counts

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left in any place."""
        return not any(self.after.values())


def rehearse(house: House, person: Person) -> ErasureReport:
    """Count what an erasure would clear, by place. Changes nothing."""
    with house.lake() as lake:
        require_known(lake, person)
        traces, names = _gather(house, lake, person, Memory(house.settings, person))
        found = survey(house, lake, person, traces, names)
    return ErasureReport(person, len(traces.spelled), traces.shared_count, traces.short_count, found, found)


def erase_person(house: House, person: Person, *, note: str, actor: str, say: Say) -> ErasureReport:
    """Erase a person, and prove it. Waits for the lane that builds now, and keeps others out meanwhile.

    Killed anywhere, it is finished by running it again. Raises NobodyKnown.
    """
    memory = Memory(house.settings, person)
    with house.alone(), _no_taker(house), house.lake() as lake:
        require_known(lake, person)
        with no_intake(lake):
            remember_erased(lake, person, erased_at=naive_utc(house.clock.now()))
        traces, names = _gather(house, lake, person, memory)
        with house.operations.session() as session:
            row = erasures.begin(
                session, person, note=traces.replaced_in(note), actor=actor, now=house.clock.now()
            )
        if row.proof is not None and not memory.is_there and not any(row.proof["after"].values()):
            # Killed between the proof and the last word: there is nothing left to search for.
            return _finish(house, _report(person, row.proof), row.erasure_id, actor=actor)
        say(f"searching for {len(traces.spelled)} texts of {person}")
        before = memory.before or survey(house, lake, person, traces, names)
        memory.keep(traces, names, before)
        failpoint("erasing.begun")
        for what, step in _steps(house, lake, person, traces, names):
            say(what)
            step()
        report = _prove(
            house, row.erasure_id, before, survey(house, lake, person, traces, names), traces, person
        )
        if not report.is_whole:
            return report
        failpoint("erasing.proved")
        # Only now: a run that was killed before would not know any more what to search for.
        memory.forget()
        failpoint("erasing.forgotten")
        return _finish(house, report, row.erasure_id, actor=actor)


def _prove(
    house: House, erasure_id: int, before: Counts, after: Counts, traces: Traces, person: Person
) -> ErasureReport:
    proof = {
        "searched": len(traces.spelled),
        "shared": traces.shared_count,
        "short": traces.short_count,
        "before": before,
        "after": after,
    }
    with house.operations.session() as session:
        erasures.prove(session, erasure_id, proof)
    return _report(person, proof)


def _report(person: Person, proof: Mapping[str, Any]) -> ErasureReport:
    return ErasureReport(person, **{name: proof[name] for name in PROOF})


def _finish(house: House, report: ErasureReport, erasure_id: int, *, actor: str) -> ErasureReport:
    with house.operations.session() as session:
        erasures.finish(session, erasure_id, actor=actor, now=house.clock.now())
    return report


def require_known(lake: LakeWriter, person: Person) -> None:
    """Raise NobodyKnown unless a record names this person."""
    if not erasure.is_known(lake, person):
        raise NobodyKnown(
            f"no record names {person}; the identifier is that of the marketplace, as pages show it"
        )


@contextmanager
def _no_taker(house: House) -> Iterator[None]:
    with advisory_lock(engine_for(open_postgres(house.settings).url("lake")), TAKER):
        yield


def _gather(house: House, lake: LakeWriter, person: Person, memory: Memory) -> tuple[Traces, tuple[str, ...]]:
    """Return the texts to search for and all names, together with those that a killed run had found already."""
    documents = (
        document
        for drop in house.landing.messages()
        if (document := _document_about(drop.body, person)) is not None
    )
    with house.operations.session() as session:
        staff = [
            text for user in users.list_users(session, only_active=False) for text in (user.name, user.email)
        ]
    traces = erasure.traces_of(lake, person, documents, of_others=staff)
    return memory.with_known(traces, erasure.names_of(lake, person))


def _document_about(body: bytes, person: Person) -> Any:
    if blanked(body, [person]) == body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _steps(
    house: House, lake: LakeWriter, person: Person, traces: Traces, names: tuple[str, ...]
) -> Iterator[tuple[str, Callable[[], None]]]:
    # The personal catalogue last: the texts to search for come from it.
    yield "messages in the landing", lambda: _clear_landing(house, person, traces)
    yield "mails", lambda: _clear_mails(house, person, traces, names)
    yield "decisions and run records", lambda: _clear_records(house, traces)
    yield "files of the state folder", lambda: _clear_files(house, person, traces)
    yield "personal data", lambda: _clear_personal(house, lake, person, traces)


def _clear_landing(house: House, person: Person, traces: Traces) -> None:
    def change(body: bytes) -> bytes:
        kept = blanked(body, [person]).decode("utf-8", "surrogateescape")
        return traces.replaced_in(kept).encode("utf-8", "surrogateescape")

    house.landing.rewrite(change)
    failpoint("erasing.landing_cleared")


def _clear_mails(house: House, person: Person, traces: Traces, names: tuple[str, ...]) -> None:
    operations = house.operations
    with operations.session() as session:
        linked = frozenset(erasures.rename_in_mails(session, person, names))
    failpoint("erasing.mails_renamed")
    sender = FileSender(house.settings.outbox_path, house.settings.mail_from)
    spelled = longest_first(one for name in names for one in spellings(name))

    def change(mail: Message) -> Message:
        def told(text: str) -> str:
            if mail.idempotency_key in linked:
                text = replaced(text, spelled, person.person_id)
            return traces.replaced_in(text)

        return dataclasses.replace(
            mail, subject=told(mail.subject), html=told(mail.html), text=told(mail.text)
        )

    sender.rewrite(change)
    failpoint("erasing.mail_files_rewritten")
    with operations.session() as session:
        erasures.point_to_files(session, sender.stems())
    rewrite_tables(operations.engine, ("outbox", "deliveries"))


def _clear_records(house: House, traces: Traces) -> None:
    replace_texts(house.operations.engine, traces, leave_out=UNCHANGED)
    failpoint("erasing.decisions_cleared")
    replace_texts(engine_for(open_postgres(house.settings).url("dagster")), traces)


def _clear_files(house: House, person: Person, traces: Traces) -> None:
    for file in loose_files(house.settings, leave_out=Memory(house.settings, person).file):
        if holds(file, traces):
            clear(file, traces)
    failpoint("erasing.files_cleared")


def _clear_personal(house: House, lake: LakeWriter, person: Person, traces: Traces) -> None:
    erasure.erase(lake, person, traces)
    failpoint("erasing.personal_cleared")
    engine = engine_for(open_postgres(house.settings).url("lake"))
    rewrite_tables(engine, tables_of(engine, PERSONAL_CATALOGUE))


def survey(house: House, lake: LakeWriter, person: Person, traces: Traces, names: tuple[str, ...]) -> Counts:
    """Count by place what is a person's, or holds one of their texts. 0 everywhere means that nothing is found."""
    settings, postgres = house.settings, open_postgres(house.settings)
    with house.operations.session() as session:
        spelled = longest_first(one for name in names for one in spellings(name))
        linked = sum(
            any(one in part for part in (mail.subject, mail.html, mail.text) for one in spelled)
            for mail in erasures.linked_mails(session, person)
        )
    decisions = count_rows(house.operations.engine, traces, leave_out=STAFF)
    catalogues = count_rows(engine_for(postgres.url("lake")), traces, schemas=("public", PERSONAL_CATALOGUE))
    return {
        "messages in the landing": _messages_of(house, person, traces),
        "mails about them": linked,
        "decisions, mails and notes": sum(decisions.values()) - decisions.get("public.audit_log", 0),
        "audit log": decisions.get("public.audit_log", 0),
        "run records": sum(count_rows(engine_for(postgres.url("dagster")), traces).values()),
        "mail files": _mail_files_of(house, traces),
        "other files of the state folder": sum(
            holds(file, traces) for file in loose_files(settings, leave_out=Memory(settings, person).file)
        ),
        "personal rows": erasure.held_of(lake, person, traces),
        "personal files": erasure.files_holding(lake, settings.personal_path, traces),
        "files of the lake, all versions": erasure.files_holding(lake, settings.lake_path, traces),
        "catalogues": sum(catalogues.values()),
    }


def _messages_of(house: House, person: Person, traces: Traces) -> int:
    count, texts = 0, []
    for drop in house.landing.messages():
        if blanked(drop.body, [person]) != drop.body:
            count += 1
            continue
        texts.append(drop.body.decode("utf-8", "replace"))
        if len(texts) == MESSAGES_AT_ONCE:
            count, texts = count + traces.count_in(pl.Series(texts)), []
    return count + traces.count_in(pl.Series(texts, dtype=pl.String))


def _mail_files_of(house: House, traces: Traces) -> int:
    folder = house.settings.outbox_path
    return sum(
        traces.stand_in(file.name) or any(map(traces.stand_in, _texts_of(file.read_bytes(), file.suffix)))
        for file in (sorted(folder.iterdir()) if folder.is_dir() else ())
    )


def _texts_of(content: bytes, suffix: str) -> Iterator[str]:
    yield content.decode("utf-8", "replace")
    if suffix == ".eml":
        # A mail hides its words: encoded for the way, word by word in its head.
        mail = message_from_bytes(content, policy=policy.default)
        yield " ".join(str(value) for value in mail.values())
        for part in mail.walk():
            if part.get_content_maintype() == "text":
                yield part.get_content()


def remaining(report: ErasureReport) -> Mapping[str, int]:
    """Return the places in which something is left."""
    return {place: count for place, count in report.after.items() if count}
