"""An erasure from the command to the proof: every place, by identifier; a killed one is finished by a rerun."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from assets.ingest.messages import take_messages
from assets.resources import House
from data.contracts.personal import Person
from data.lake.intake import Arrival, take_in
from data.lake.personal import erased_people
from data.landing import Drop
from data.operations import episodes, erasures, observe
from data.operations.outbox import OutboxMessage, enqueue
from data.operations.store import Operations
from data.operations.tables import AlertEpisode, Erasure
from data.settings import Settings
from notifications.message import Message
from notifications.senders.file_outbox import FileSender, read_mail
from orchestration import cli, erasing
from orchestration.doctor import examine
from orchestration.erasing import NobodyKnown, erase_person, rehearse

DANA = Person("customer", "cus_7")
NAME, MAIL, PHONE = "Dana Quillfeather", "dana.q@example.org", "+1 555 0142"
COMMENT = "We went through the long division twice."
STRINGS = (NAME, MAIL, PHONE, COMMENT)
RULE = observe.Rule(
    "customer_health_critical", "Customer health is critical", "high", "condition", 0, "operator", "Call"
)


def a_customer(**changes: Any) -> dict[str, Any]:
    return {
        "customer_id": "cus_7",
        "full_name": NAME,
        "email": MAIL,
        "phone": PHONE,
        "updated_at": "2026-03-01T11:00:00Z",
    } | changes


def a_session(**changes: Any) -> dict[str, Any]:
    return {
        "session_id": "ses_1",
        "tutor_id": "tut_1",
        "student_id": "cus_7",
        "status": "finished",
        "session_start_time": "2026-03-01T10:00:00Z",
        "updated_at": "2026-03-01T11:00:00Z",
        "student_feedback": {"rating": 4, "description": COMMENT},
    } | changes


def a_message(record: dict[str, Any], message_id: str = "msg_1", *, at: datetime) -> Drop:
    body = {"type": "session.completed", "timestamp": at.isoformat(), "data": record}
    return Drop(message_id, at, json.dumps(body).encode())


@pytest.fixture
def full(house: House) -> House:
    """A house in which a person stands in every place that an erasure looks at."""
    now, lake_arrival = house.clock.now(), Arrival("rails.pull", house.clock.now(), house.today())
    folders = ("landing", "outbox", "imports", "logs", "erasing")
    for folder in folders:
        for file in sorted((house.settings.state / folder).rglob("*")):
            if file.is_file():
                file.unlink()
    house.landing.store(a_message(a_session(parent_name=NAME), at=now))
    with house.lake() as lake:
        take_in(
            lake,
            "customers",
            [a_customer(), a_customer(customer_id="cus_8", full_name="Otto Other", email=None, phone=None)],
            lake_arrival,
        )
        take_in(
            lake, "sessions", [a_session(), a_session(session_id="ses_2", student_rating=9)], lake_arrival
        )
        take_messages(lake, house.landing, house.settings, clock=house.clock)
    house.landing.store(a_message(a_session(session_id="ses_3"), "msg_2", at=now))
    with house.operations.session() as session:
        observe.observe(
            session,
            [],
            {RULE.rule_code: RULE},
            as_of_date=house.today(),
            publication_id=None,
            now=now,
            compose=lambda _: (),
        )
        candidate = observe.Candidate(
            f"{RULE.rule_code}:customer:cus_7",
            RULE.rule_code,
            "customer",
            "cus_7",
            "high",
            {"score": 3},
            customer_id="cus_7",
        )
        observe.observe(
            session,
            [candidate],
            {RULE.rule_code: RULE},
            as_of_date=house.today(),
            publication_id=None,
            now=now,
            compose=lambda _: (),
        )
        episode = session.scalars(sa.select(AlertEpisode)).one()
        episodes.add_note(
            session, episode.episode_id, text=f"Called {NAME} on {PHONE}", actor="user:1", now=now
        )
        message = OutboxMessage(
            "alert-1",
            "alert",
            "desk@example.org",
            f"High: {NAME}",
            f"<p>{NAME}</p>",
            NAME,
            episode_ids=(episode.episode_id,),
        )
        enqueue(session, message, now=now)
    sender = FileSender(house.settings.outbox_path, house.settings.mail_from)
    sender.send(
        Message(
            "desk@example.org",
            f"High: {NAME}",
            f"<p>{NAME}</p>",
            f"{NAME}\n",
            "alert-1",
            "alert",
            composed_at=now,
        )
    )
    sender.send(
        Message(
            "desk@example.org",
            "High: Otto Other",
            "<p>Otto Other</p>",
            "Otto\n",
            "alert-2",
            "alert",
            composed_at=now,
        )
    )
    for folder in folders[2:4]:
        (house.settings.state / folder).mkdir(exist_ok=True)
    (house.settings.state / "imports" / "customers.txt").write_text(f"refused: {MAIL}\nkept\n")
    (house.settings.state / "logs" / "lanes.log").write_text(f"could not read {NAME}\n")
    return house  # fmt: skip


def erased(house: House) -> erasing.ErasureReport:
    return erase_person(house, DANA, note=f"letter of {NAME}", actor="test", say=lambda _: None)


def files_holding(house: House, *texts: str) -> list[str]:
    """Search every file of the state folder byte by byte, Postgres and packed files left out."""
    return sorted(
        str(file.relative_to(house.settings.state))
        for file in house.settings.state.rglob("*")
        if file.is_file()
        and "postgres" not in file.parts
        and any(text.encode() in file.read_bytes() for text in texts)
    )


def test_a_rehearsal_counts_by_place_and_changes_nothing(full: House) -> None:
    files = files_holding(full, *STRINGS)
    report = rehearse(full, DANA)
    assert report.before == {
        "messages in the landing": 2,
        "mails about them": 1,
        "decisions, mails and notes": 2,
        "audit log": 0,
        "run records": 0,
        "mail files": 3,
        "other files of the state folder": 2,
        "personal rows": report.before["personal rows"],
        "personal files": report.before["personal files"],
        "files of the lake, all versions": 0,
        "catalogues": report.before["catalogues"],
    }
    assert report.before["personal rows"] >= 3
    assert report.before["personal files"] >= 2
    assert report.before["catalogues"] >= 2
    assert files_holding(full, *STRINGS) == files
    assert rehearse(full, DANA) == report
    with full.operations.session() as session:
        assert erasures.recent(session) == []


def test_after_an_erasure_nothing_is_left_in_any_place(full: House) -> None:
    report = erased(full)
    assert report.is_whole, erasing.remaining(report)
    assert sum(report.before.values()) > 10
    assert files_holding(full, *STRINGS, "dana-quillfeather") == []
    with full.operations.session() as session:
        (row,) = erasures.recent(session)
        assert row.finished_at is not None
        assert row.note == "letter of cus_7"
        assert row.proof == {
            "searched": report.searched, "shared": 0, "short": 0, "before": report.before, "after": report.after,
        }  # fmt: skip
        told = json.dumps(row.proof)
    assert not any(text in told for text in STRINGS)


def test_what_is_not_theirs_stays(full: House) -> None:
    erased(full)
    sender_folder = full.settings.outbox_path
    mails = {file.name: read_mail(file) for file in sorted(sender_folder.glob("*.eml"))}
    assert [mail.subject for mail in mails.values()] == ["High: cus_7", "High: Otto Other"]
    assert [name[:17] for name in mails] == ["00001-high-cus-7-", "00002-high-otto-o"]
    index = (sender_folder / "index.html").read_text()
    assert all(name in index for name in mails)
    assert (full.settings.state / "imports" / "customers.txt").read_text().endswith("\nkept\n")
    with full.lake() as lake:
        assert lake.read("select full_name from pii.customers").rows() == [("Otto Other",)]
        assert lake.read("select count(*) as n from lake.raw_marketplace.sessions")["n"][0] == 1
        assert lake.read("select distinct customer_id from lake.raw_marketplace.sessions").rows() == [
            ("cus_7",)
        ]


@pytest.mark.parametrize(
    "changes", [{}, {"updated_at": "2026-03-02T11:00:00Z", "email": "new.dana@example.org"}]
)
def test_neither_a_pull_nor_a_webhook_nor_an_import_brings_them_back(
    full: House, changes: dict[str, Any]
) -> None:
    erased(full)
    now = full.clock.now()
    assert full.landing.store(a_message(a_session(parent_name=NAME), at=now)) == "duplicate"
    assert (
        full.landing.store(a_message(a_session(**changes, session_id="ses_9"), "msg_9", at=now)) == "stored"
    )
    with full.lake() as lake:
        for source in ("rails.pull", "a file"):
            arrival = Arrival(source, now + timedelta(hours=1), full.today())
            take_in(lake, "customers", [a_customer(**changes)], arrival)
            take_in(lake, "sessions", [a_session(**changes)], arrival)
        take_messages(lake, full.landing, full.settings, clock=full.clock)
        assert lake.read("select 1 from pii.customers where customer_id = 'cus_7'").is_empty()
        assert lake.read("select 1 from pii.sessions").is_empty()
    assert files_holding(full, *STRINGS, "new.dana") == []
    kept = full.landing.find("msg_9")
    assert kept is not None
    assert b"cus_7" in kept.body


POINTS = (
    "erasing.begun", "erasing.landing_cleared", "erasing.mails_renamed", "erasing.mail_files_rewritten",
    "erasing.decisions_cleared", "erasing.files_cleared", "erasing.personal_cleared", "erasing.proved",
    "erasing.forgotten",
)  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_an_erasure_that_is_stopped_anywhere_is_finished_by_running_it_again(
    full: House, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(name: str) -> None:
        if name == point:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(erasing, "failpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            erased(full)
    with full.operations.session() as session:
        assert len(erasures.unfinished(session)) == 1
    assert "run `chalkline erase`" in next(one.detail for one in examine(full) if one.what == "erasures")
    report = erased(full)
    assert report.is_whole
    assert sum(report.before.values()) > 10, "the proof says what the first run had found"
    assert files_holding(full, *STRINGS) == []
    with full.operations.session() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Erasure)) == 1
        assert erasures.unfinished(session) == []


def test_what_cannot_be_cleared_is_named_and_leaves_the_erasure_open(
    full: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(erasing, "clear", lambda *_: None)
        report = erased(full)
    assert erasing.remaining(report) == {"other files of the state folder": 2}
    with full.operations.session() as session:
        (row,) = erasures.unfinished(session)
        assert row.proof is not None
    assert erased(full).is_whole


def test_somebody_whom_no_record_names_is_refused(full: House) -> None:
    with pytest.raises(NobodyKnown, match="no record names customer cus_77"):
        erase_person(full, Person("customer", "cus_77"), note="x", actor="test", say=lambda _: None)
    with full.lake() as lake:
        assert erased_people(lake) == frozenset()


def say(*words: str) -> str:
    result = CliRunner().invoke(cli.app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_rehearses_erases_and_prints_the_proof(
    full: House, deployed: Settings, operations: Operations
) -> None:
    rehearsal = say("erase", "customer", "cus_7", "--dry-run")
    assert "messages in the landing" in rehearsal
    with operations.session() as session:
        assert erasures.recent(session) == []
    told = say("erase", "customer", "cus_7", "--note", "letter of 1 March")
    assert "customer cus_7 is erased" in told
    assert not any(text in rehearsal + told for text in STRINGS)
    rows = [line.split() for line in told.splitlines() if line.startswith(("mail files", "personal rows"))]
    assert [row[-1] for row in rows] == ["0", "0"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("erase", "customer", "cus_7"), "an erasure needs a --note"),
        (("erase", "pupil", "cus_7", "--dry-run"), "'pupil' is nobody whose data is kept"),
    ],
)
def test_a_request_that_says_too_little_is_refused(
    full: House, deployed: Settings, words: tuple[str, ...], told: str
) -> None:
    result = CliRunner().invoke(cli.app, list(words))
    assert told in str(result.exception)


def test_a_file_that_somebody_has_open_is_overwritten_in_place(full: House) -> None:
    log: Path = full.settings.state / "logs" / "lanes.log"
    with log.open("a") as opened:
        erased(full)
        opened.write("later\n")
    assert log.read_text() == f"could not read {'*' * len(NAME)}\nlater\n"
