"""Everything the dashboard writes: decisions about alerts, the published version and the quarantine.

What belongs here: checking the role, calling data.operations, telling the outcome. What does not: which moves
are legal (data.operations.episodes), wording of pages. Every decision leaves a row in the audit log there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from app.dashboard import access, stores
from app.dashboard.identity import Person
from data.contracts import Correction
from data.lake.waiting import Scope
from data.operations import audit, corrections, episodes, publications
from data.operations.tables import AlertEpisode

Move = Literal["acknowledge", "start"]


@dataclass(frozen=True)
class Done:
    """The decision was recorded; text says which."""

    text: str


@dataclass(frozen=True)
class NotDone:
    """Nothing was changed; text says why and what to do."""

    text: str


Outcome = Done | NotDone


def move(person: Person | None, episode_id: uuid.UUID, *, to: Move, version: int) -> Outcome:
    """Acknowledge an alert or start working on it. The second of two people is told, and changes nothing."""
    said = "acknowledged" if to == "acknowledge" else "in progress"

    def decide(session: Session, actor: str) -> None:
        act = episodes.acknowledge if to == "acknowledge" else episodes.start
        act(session, episode_id, version=version, actor=actor, now=stores.clock().now())

    return _decide(person, episode_id, decide, f"The alert is {said}.")


def resolve(
    person: Person | None, episode_id: uuid.UUID, *, notes: str, was_right: bool | None, version: int
) -> Outcome:
    """Close an alert as dealt with. Needs notes; was_right is the answer to "Was this alert right?"."""
    if not notes.strip():
        return NotDone("Write a line on what was done. The alert stays as it is.")

    def decide(session: Session, actor: str) -> None:
        episodes.resolve(
            session,
            episode_id,
            notes=notes.strip(),
            coach_agreed=was_right,
            version=version,
            actor=actor,
            now=stores.clock().now(),
        )

    return _decide(person, episode_id, decide, "The alert is resolved.")


def dismiss(
    person: Person | None, episode_id: uuid.UUID, *, reason: str, was_right: bool | None, version: int
) -> Outcome:
    """Close an alert as not worth acting on. Needs a reason."""
    if not reason.strip():
        return NotDone("Say why it is dismissed. The alert stays as it is.")

    def decide(session: Session, actor: str) -> None:
        episodes.dismiss(
            session,
            episode_id,
            reason=reason.strip(),
            coach_agreed=was_right,
            version=version,
            actor=actor,
            now=stores.clock().now(),
        )

    return _decide(person, episode_id, decide, "The alert is dismissed.")


def reopen(person: Person | None, episode_id: uuid.UUID, *, reason: str, version: int) -> Outcome:
    """Take a closed alert up again. Needs a reason."""
    if not reason.strip():
        return NotDone("Say why it is opened again. The alert stays as it is.")

    def decide(session: Session, actor: str) -> None:
        episodes.reopen(
            session, episode_id, reason=reason.strip(), version=version, actor=actor, now=stores.clock().now()
        )

    return _decide(person, episode_id, decide, "The alert is open again.")


def assign_to_me(person: Person | None, episode_id: uuid.UUID, *, version: int) -> Outcome:
    """Make the person the owner of an open alert."""

    def decide(session: Session, actor: str) -> None:
        owner = person.user_id if person is not None else None
        episodes.assign(
            session, episode_id, owner_id=owner, version=version, actor=actor, now=stores.clock().now()
        )

    return _decide(person, episode_id, decide, "The alert is yours.")


def add_note(person: Person | None, episode_id: uuid.UUID, *, text: str) -> Outcome:
    """Leave a note in an alert's history."""
    if not text.strip():
        return NotDone("The note is empty.")

    def decide(session: Session, actor: str) -> None:
        episodes.add_note(session, episode_id, text=text.strip(), actor=actor, now=stores.clock().now())

    return _decide(person, episode_id, decide, "The note is in the history.")


def roll_back(person: Person | None, version: int, *, reason: str) -> Outcome:
    """Let readers see an older version again, and hold the lanes off until the hold is released."""
    allowed = access.require(person, "roll_back")
    if not reason.strip():
        return NotDone("Say why readers go back. Nothing was changed.")
    try:
        with stores.operations().session() as session:
            row = publications.rollback(
                session, version, actor=allowed.actor, now=stores.clock().now(), reason=reason.strip()
            )
            return Done(f"Readers see version {version} again, published as version {row.publication_id}.")
    except (publications.PublicationNotFound, ValueError) as error:
        return NotDone(_sentence(error))


def release_hold(person: Person | None) -> Outcome:
    """Let the lanes publish again after a rollback."""
    allowed = access.require(person, "roll_back")
    with stores.operations().session() as session:
        released = publications.release_hold(session, actor=allowed.actor, now=stores.clock().now())
    return Done("The lanes publish again.") if released else NotDone("There was no hold to release.")


def record_export(person: Person | None, *, what: str, rows: int, version: int) -> None:
    """Leave a row in the audit log for a downloaded file: who, what, how many rows, of which version."""
    allowed = access.require(person, "export")
    with stores.operations().session() as session:
        audit.append(
            session,
            actor=allowed.actor,
            action="export.downloaded",
            object_name=f"export:{what}",
            details={"rows": rows, "version": version},
            now=stores.clock().now(),
        )


def correct(
    person: Person | None,
    *,
    sources: Sequence[str],
    kind: str,
    correction: Correction,
    note: str,
    judge_again: bool = True,
) -> Outcome:
    """Put a correction in force for these feeds, and ask for what waits of them to be judged again."""
    allowed = access.require(person, "mend_data")
    if not sources:
        return NotDone("Choose the feed that the correction is for. Nothing was changed.")
    if not note.strip():
        return NotDone("Say why, in a line. Nothing was changed.")
    now = stores.clock().now()
    try:
        with stores.operations().session() as session:
            for source in sources:
                corrections.add_correction(
                    session,
                    source=source,
                    kind=kind,
                    correction=correction,
                    note=note.strip(),
                    actor=allowed.actor,
                    now=now,
                )
                if judge_again:
                    corrections.request_replay(
                        session, actor=allowed.actor, now=now, source=source, kind=kind
                    )
    except ValueError as error:
        return NotDone(_sentence(error))
    then = (
        "What waits is judged again within a minute."
        if judge_again
        else "What waits is not judged again yet."
    )
    return Done(f"The correction is in force. {then}")


def retire_correction(person: Person | None, correction_id: int) -> Outcome:
    """End a correction. What it mended stays."""
    allowed = access.require(person, "mend_data")
    try:
        with stores.operations().session() as session:
            corrections.retire_correction(
                session, correction_id, actor=allowed.actor, now=stores.clock().now()
            )
    except corrections.CorrectionNotFound as error:
        return NotDone(_sentence(error))
    return Done("The correction is no longer applied. What it mended stays.")


def ask_replay(person: Person | None, scope: Scope) -> Outcome:
    """Ask for what waits in a scope to be judged again. A sensor carries it out."""
    allowed = access.require(person, "mend_data")
    with stores.operations().session() as session:
        corrections.request_replay(
            session,
            actor=allowed.actor,
            now=stores.clock().now(),
            source=scope.source,
            kind=scope.kind,
            field=scope.field,
            reason=scope.reason,
        )
    return Done("Asked for. It is carried out within a minute; what came of it stands below.")


def give_up(person: Person | None, scope: Scope, *, note: str) -> Outcome:
    """Ask for what waits for a cause to be given up for good. Needs a reason. A sensor carries it out."""
    allowed = access.require(person, "mend_data")
    if not note.strip():
        return NotDone("Say why these records are given up. Nothing was changed.")
    if scope.source is None or scope.kind is None:
        return NotDone("Choose a feed first: not everything is given up at once.")
    with stores.operations().session() as session:
        corrections.request_discard(
            session,
            source=scope.source,
            kind=scope.kind,
            field=scope.field,
            reason=scope.reason,
            note=note.strip(),
            actor=allowed.actor,
            now=stores.clock().now(),
        )
    return Done("Given up. The records leave the list within a minute; their text is kept.")


def record_reading(person: Person | None, scope: Scope, *, records: int, version: int) -> None:
    """Leave a row in the audit log for refused records that somebody read: who, which, how many, of which version."""
    allowed = access.require(person, "mend_data")
    with stores.operations().session() as session:
        audit.append(
            session,
            actor=allowed.actor,
            action="quarantine.read",
            object_name="quarantine",
            details={"source": scope.source, "kind": scope.kind, "field": scope.field, "reason": scope.reason}
            | {"records": records, "version": version},
            now=stores.clock().now(),
        )


def require_episode(person: Person | None, episode: AlertEpisode) -> Person:
    """Return the person if they may act on this alert. Raises AccessDenied."""
    allowed = access.require(person, "act_on_alerts")
    if allowed.roster is not None:
        own = frozenset({episode.tutor_id}) if episode.tutor_id else frozenset({""})
        access.require(allowed, "act_on_alerts", tutor_ids=own)
    return allowed


def _decide(
    person: Person | None, episode_id: uuid.UUID, decide: Callable[[Session, str], None], text: str
) -> Outcome:
    access.require(person, "act_on_alerts")
    try:
        with stores.operations().session() as session:
            allowed = require_episode(person, episodes.episode_of(session, episode_id))
            decide(session, allowed.actor)
        return Done(text)
    except episodes.VersionConflict:
        return NotDone(
            "Somebody changed this alert while you were reading it. Nothing of yours was saved; "
            "the page now shows how it stands."
        )
    except (episodes.EpisodeNotFound, episodes.IllegalTransition, ValueError) as error:
        return NotDone(_sentence(error))


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
