"""Erasures as decisions, and the words about a person in mails, notes and histories."""

import json

import pytest
import sqlalchemy as sa
from operations_builders import NOON, a_candidate, a_message, an_open_episode, past_the_baseline, see

from data import postgres_texts
from data.contracts.personal import Person
from data.operations import audit, episodes, erasures, outbox, publications
from data.operations.store import Operations
from data.operations.tables import Delivery, EpisodeEvent, Erasure, OutboxRow
from data.postgres_texts import count_rows, replace_texts
from data.traces import Traces

NORA = Person("tutor", "T-1")
NAME = 'Nora "Q" O\'Lane'
TRACES = Traces(identifier="T-1", own=(NAME, "nora@example.org"))
LEFT_OUT = ("users", "audit_log", "audit_heads", "alembic_version")


def a_mail_about(operations: Operations, *, name: str = NAME) -> OutboxRow:
    episode = an_open_episode(operations)
    html = f"<p>{name.replace(chr(34), '&#34;').replace(chr(39), '&#39;')}</p>"
    with operations.session() as session:
        message = a_message(
            "m1", subject=f"High: {name}", text=name, html=html, episode_ids=(episode.episode_id,)
        )
        outbox.enqueue(session, message, now=NOON)
        (outgoing,) = (one for one in outbox.claim_due(session, NOON, 9) if one.idempotency_key == "m1")

        class Sent:
            outcome, provider_id, detail, retry_after_seconds = (
                "sent",
                "00001-high-nora-abcdef012345.eml",
                None,
                None,
            )

        outbox.settle(session, outgoing, Sent(), now=NOON)  # type: ignore[arg-type]
        return session.scalars(sa.select(OutboxRow).where(OutboxRow.idempotency_key == "m1")).one()


def test_an_erasure_that_was_begun_is_gone_on_with_and_a_finished_one_is_not(operations: Operations) -> None:
    with operations.session() as session:
        first = erasures.begin(session, NORA, note="by letter", actor="test", now=NOON)
        assert erasures.begin(session, NORA, note="again", actor="test", now=NOON) is first
        assert [row.erasure_id for row in erasures.unfinished(session)] == [first.erasure_id]
        erasures.prove(session, first.erasure_id, {"after": {"mails": 0}})
        erasures.finish(session, first.erasure_id, actor="test", now=NOON)
        erasures.finish(session, first.erasure_id, actor="test", now=NOON)
        assert erasures.unfinished(session) == []
        second = erasures.begin(session, NORA, note="once more", actor="test", now=NOON)
        assert second is not first
        assert [row.erasure_id for row in erasures.recent(session)] == [second.erasure_id, first.erasure_id]


def test_an_erasure_is_audited_by_identifier_without_its_note(operations: Operations) -> None:
    with operations.session() as session:
        row = erasures.begin(session, NORA, note=f"letter of {NAME}", actor="test", now=NOON)
        erasures.finish(session, row.erasure_id, actor="test", now=NOON)
        entries = audit.entries_about(session, "tutor:T-1")
        assert [entry.action for entry in entries] == ["person.erasure_begun", "person.erased"]
        assert NAME not in json.dumps([entry.details for entry in entries])


def test_an_erasure_is_of_a_customer_or_a_tutor(operations: Operations) -> None:
    with operations.session() as session, pytest.raises(sa.exc.IntegrityError, match="person_kind"):
        erasures.begin(session, Person("coach", "1"), note="", actor="test", now=NOON)  # type: ignore[arg-type]


def test_the_audit_log_holds_no_words_that_somebody_wrote(operations: Operations) -> None:
    episode = an_open_episode(operations)
    with operations.session() as session:
        episodes.add_note(session, episode.episode_id, text=f"Called {NAME}.", actor="user:7", now=NOON)
        found = episodes.dismiss(
            session,
            episode.episode_id,
            reason=f"{NAME} is on leave",
            version=episode.version,
            actor="user:7",
            now=NOON,
        )
        episodes.reopen(
            session, found.episode_id, reason=NAME, version=found.version, actor="user:7", now=NOON
        )
    row = publications_with_a_reason(operations)
    with operations.session() as session:
        told = json.dumps([entry.details for entry in session.scalars(sa.select(audit.AuditEntry))])
        assert "Nora" not in told
        assert f"{len(f'Called {NAME}.')} characters" in told
        assert audit.verify_chain(session).is_intact
    assert row == NAME


def publications_with_a_reason(operations: Operations) -> str | None:
    with operations.session() as session:
        for snapshot in (1, 2):
            publications.publish(
                session, snapshot_id=snapshot, lane="fast", as_of_date=NOON.date(), checks={}, now=NOON
            )
        return publications.rollback(session, 1, actor="test", now=NOON, reason=NAME).note


def test_words_in_every_table_give_way_to_the_identifier(operations: Operations) -> None:
    mail = a_mail_about(operations)
    with operations.session() as session:
        episode_id = mail.episode_ids[0]
        episodes.add_note(
            session, episode_id, text=f"Wrote to nora@example.org, {NAME}", actor="user:7", now=NOON
        )
        erasures.begin(session, Person("tutor", "T-2"), note=f"as {NAME} did", actor="test", now=NOON)
    publications_with_a_reason(operations)
    before = count_rows(operations.engine, TRACES, leave_out=("users",))
    assert before == {
        "public.episode_events": 1,
        "public.erasures": 1,
        "public.outbox": 1,
        "public.publication_holds": 1,
        "public.publications": 1,
    }
    assert replace_texts(operations.engine, TRACES, leave_out=LEFT_OUT) == before
    assert count_rows(operations.engine, TRACES, leave_out=("users",)) == {}
    assert replace_texts(operations.engine, TRACES, leave_out=LEFT_OUT) == {}
    with operations.session() as session:
        note = session.scalars(sa.select(EpisodeEvent).where(EpisodeEvent.kind == "note")).one()
        assert note.details == {"text": "Wrote to T-1, T-1"}
        changed = session.get_one(OutboxRow, mail.message_id)
        assert (changed.subject, changed.text, changed.html) == ("High: T-1", "T-1", "<p>T-1</p>")
        assert changed.idempotency_key == "m1"


def test_what_a_killed_one_had_changed_is_written_anew_by_the_next(
    operations: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    def file_of_the_outbox() -> int:
        with operations.engine.connect() as connection:
            return int(connection.scalar(sa.text("select pg_relation_filenode('outbox')")) or 0)

    a_mail_about(operations)
    first = file_of_the_outbox()
    with monkeypatch.context() as patched:
        patched.setattr(postgres_texts, "rewrite_tables", killed)
        with pytest.raises(KeyboardInterrupt):
            replace_texts(operations.engine, TRACES, leave_out=LEFT_OUT)
    assert file_of_the_outbox() == first, "the old row lies there still"
    assert replace_texts(operations.engine, TRACES, leave_out=LEFT_OUT) == {}
    assert file_of_the_outbox() != first


def test_a_history_lets_nothing_but_an_erasure_change_it_and_the_audit_log_not_even_that(
    operations: Operations,
) -> None:
    a_mail_about(operations)
    statements = {
        "update episode_events set actor = 'x'": True,
        "update deliveries set detail = 'x'": True,
        "delete from episode_events": False,
        "update audit_log set actor = 'x'": False,
        "delete from audit_log": False,
    }
    with operations.session() as session:
        erasures.begin(session, NORA, note="", actor="test", now=NOON)
    for statement, is_let_through in statements.items():
        with operations.engine.connect() as connection:
            connection.execute(sa.text("set local chalkline.erasing = 'on'"))
            if is_let_through:
                connection.execute(sa.text(statement))
                continue
            with pytest.raises(sa.exc.DBAPIError, match="append-only"):
                connection.execute(sa.text(statement))


def test_a_name_that_others_have_too_goes_from_mails_about_the_person_only(operations: Operations) -> None:
    about = a_mail_about(operations, name="Ann Lee")
    with operations.session() as session:
        outbox.enqueue(session, a_message("m2", subject="Ann Lee", text="Ann Lee", html="Ann Lee"), now=NOON)
        assert "m2" not in erasures.rename_in_mails(session, NORA, ["Ann Lee"])
    with operations.session() as session:
        subjects = dict(
            session.execute(sa.select(OutboxRow.idempotency_key, OutboxRow.subject)).tuples().all()
        )
    assert (subjects[about.idempotency_key], subjects["m2"]) == ("High: T-1", "Ann Lee")


def test_a_customers_mails_are_those_of_episodes_that_name_them(operations: Operations) -> None:
    past_the_baseline(operations)
    see(operations, [a_candidate("T-1"), a_candidate("T-2")])
    with operations.session() as session:
        found = {e.entity_id: e.episode_id for e in episodes.list_episodes(session)}
        for tutor, episode_id in found.items():
            outbox.enqueue(session, a_message(tutor, episode_ids=(episode_id,)), now=NOON)
        linked = {mail.idempotency_key for mail in erasures.linked_mails(session, NORA)}
        assert linked & found.keys() == {"T-1"}
        assert erasures.linked_mails(session, Person("customer", "T-1")) == []


def test_mails_and_attempts_name_their_files_as_they_are_called_now(operations: Operations) -> None:
    mail = a_mail_about(operations)
    for _ in range(2):
        with operations.session() as session:
            erasures.point_to_files(session, {"abcdef012345": "00001-high-t-1-abcdef012345"})
    with operations.session() as session:
        expected = "00001-high-t-1-abcdef012345.eml"
        assert session.get_one(OutboxRow, mail.message_id).provider_id == expected
        assert session.scalars(sa.select(Delivery.provider_id)).all() == [expected]
        assert session.scalar(sa.select(sa.func.count()).select_from(Erasure)) == 0
