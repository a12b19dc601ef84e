import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import pytest
import sqlalchemy as sa
from operations_builders import NOON, a_message, an_open_episode

from data.operations import audit, episodes, outbox, preferences, users
from data.operations.outbox import Outgoing
from data.operations.store import Operations
from data.operations.tables import Delivery, OutboxRow


@dataclass(frozen=True)
class Answer:
    outcome: Literal["sent", "passing", "permanent", "unknown"]
    provider_id: str | None = None
    detail: str | None = None
    retry_after_seconds: float | None = None


class Provider:
    """Remembers keys, like the real one, and answers what it is told to."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.calls: list[str] = []
        self.accepted: set[str] = set()
        self.lock = threading.Lock()

    def send(self, outgoing: Outgoing) -> Answer:
        with self.lock:
            self.calls.append(outgoing.idempotency_key)
            answer = self.answers.pop(0) if self.answers else Answer("sent", "p-1")
            if answer.outcome in ("sent", "unknown"):
                self.accepted.add(outgoing.idempotency_key)
            return answer


def queue(operations: Operations, *keys: str, now: datetime = NOON, **changes: object) -> None:
    with operations.session() as session:
        for key in keys or ("alert:1",):
            outbox.enqueue(session, a_message(key, **changes), now=now)


def the_mail(operations: Operations) -> OutboxRow:
    with operations.session() as session:
        return session.scalars(sa.select(OutboxRow)).one()


def attempts(operations: Operations) -> list[str]:
    with operations.session() as session:
        return list(session.scalars(sa.select(Delivery.outcome).order_by(Delivery.delivery_id)))


def drain(operations: Operations, provider: Provider, *, now: datetime = NOON) -> outbox.DrainReport:
    return outbox.drain(operations, provider.send, now=now, limit=100)


def test_the_same_key_is_queued_once_and_its_body_stays(operations: Operations) -> None:
    with operations.session() as session:
        assert outbox.enqueue(session, a_message(), now=NOON)
        assert not outbox.enqueue(session, a_message(subject="other words"), now=NOON)
    assert the_mail(operations).subject == "Tutor health is low"


def test_a_mail_is_sent_once_however_often_the_outbox_is_drained(operations: Operations) -> None:
    queue(operations)
    provider = Provider()
    assert drain(operations, provider).sent == 1
    assert drain(operations, provider, now=NOON + timedelta(days=3)).sent == 0
    assert provider.calls == ["alert:1"]
    assert the_mail(operations).provider_id == "p-1"


def test_a_mail_waits_for_its_time_and_urgent_ones_go_first(operations: Operations) -> None:
    queue(operations, "later", not_before=NOON + timedelta(minutes=15))
    queue(operations, "calm")
    queue(operations, "urgent", is_urgent=True, not_before=NOON)
    provider = Provider()
    drain(operations, provider)
    assert provider.calls == ["urgent", "calm"]
    drain(operations, provider, now=NOON + timedelta(minutes=15))
    assert provider.calls[-1] == "later"


def test_a_permanent_failure_is_not_tried_again(operations: Operations) -> None:
    queue(operations)
    provider = Provider(Answer("permanent", detail="no such domain"))
    assert drain(operations, provider).failed == 1
    assert drain(operations, provider, now=NOON + timedelta(days=1)).sent == 0
    assert (the_mail(operations).status, the_mail(operations).last_error) == ("failed", "no such domain")


def test_a_passing_failure_is_tried_later_and_the_pass_stops(operations: Operations) -> None:
    queue(operations, "a", "b")
    provider = Provider(Answer("passing", retry_after_seconds=600))
    report = drain(operations, provider)
    assert (report.retried, report.paused, len(provider.calls)) == (1, True, 1)
    assert drain(operations, provider, now=NOON + timedelta(minutes=9)).sent == 1
    assert drain(operations, provider, now=NOON + timedelta(minutes=10)).sent == 1


def test_a_mail_that_is_always_turned_away_is_given_up_as_failed(operations: Operations) -> None:
    queue(operations)
    provider = Provider(*[Answer("passing", detail="quota")] * 200)
    for hour in range(80):
        drain(operations, provider, now=NOON + timedelta(hours=hour))
    assert the_mail(operations).status == "failed"
    assert len(provider.calls) <= 73


def test_an_unknown_outcome_is_repeated_under_the_same_key(operations: Operations) -> None:
    queue(operations)
    provider = Provider(Answer("unknown", detail="timed out"))
    assert drain(operations, provider).retried == 1
    assert drain(operations, provider, now=NOON + timedelta(minutes=1)).sent == 1
    assert provider.calls == ["alert:1", "alert:1"]
    assert provider.accepted == {"alert:1"}
    assert attempts(operations) == ["unknown", "sent"]


def test_after_the_key_is_forgotten_a_person_decides(operations: Operations) -> None:
    queue(operations)
    provider = Provider(*[Answer("unknown")] * 200)
    for hour in range(60):
        drain(operations, provider, now=NOON + timedelta(hours=hour))
    mail = the_mail(operations)
    assert mail.status == "unknown"
    assert len(provider.calls) <= 23
    with operations.session() as session:
        outbox.decide(session, mail.message_id, decision="send_again", actor="user:1", now=NOON)
    assert drain(operations, Provider(), now=NOON + timedelta(days=9)).sent == 1
    with operations.session() as session:
        assert [row.action for row in audit.entries_about(session, f"mail:{mail.message_id}")] == [
            "mail.send_again"
        ]


def test_a_doubtful_mail_that_nobody_touched_for_a_day_is_not_sent_again(operations: Operations) -> None:
    queue(operations)
    provider = Provider(Answer("unknown"))
    drain(operations, provider)
    drain(operations, provider, now=NOON + timedelta(hours=23))
    assert (the_mail(operations).status, len(provider.calls)) == ("unknown", 1)


def test_only_doubtful_mail_waits_for_a_decision(operations: Operations) -> None:
    queue(operations)
    with operations.session() as session, pytest.raises(ValueError, match="pending"):
        outbox.decide(session, the_mail(operations).message_id, decision="was_sent", actor="user:1", now=NOON)


def test_an_exception_of_the_sender_is_an_unknown_outcome(operations: Operations) -> None:
    queue(operations)

    def send(outgoing: Outgoing) -> Answer:
        raise ConnectionError("reset by peer")

    outbox.drain(operations, send, now=NOON, limit=5)
    assert the_mail(operations).last_error == "ConnectionError: reset by peer"
    assert the_mail(operations).uncertain_since == NOON


@pytest.mark.parametrize("accepted", [True, False])
def test_a_killed_sender_loses_and_doubles_nothing(operations: Operations, accepted: bool) -> None:
    queue(operations)
    provider = Provider()

    def killed(outgoing: Outgoing) -> Answer:
        if accepted:
            provider.send(outgoing)
        raise SystemExit(9)

    with pytest.raises(SystemExit):
        outbox.drain(operations, killed, now=NOON, limit=5)
    assert the_mail(operations).status == "sending"
    assert drain(operations, provider, now=NOON + timedelta(minutes=9)).sent == 0
    assert drain(operations, provider, now=NOON + timedelta(minutes=10)).sent == 1
    assert provider.accepted == {"alert:1"}
    assert attempts(operations) == ["lost", "sent"]


def test_a_killed_sender_found_a_day_later_leaves_the_mail_to_a_person(operations: Operations) -> None:
    queue(operations)
    with operations.session() as session:
        outbox.claim_due(session, NOON, 1)
    provider = Provider()
    drain(operations, provider, now=NOON + timedelta(days=1))
    assert (the_mail(operations).status, provider.calls) == ("unknown", [])


def test_a_late_answer_counts_only_when_the_mail_went_out(operations: Operations) -> None:
    queue(operations)
    with operations.session() as session:
        (slow,) = outbox.claim_due(session, NOON, 1)
    with operations.session() as session:
        (quick,) = outbox.claim_due(session, NOON + timedelta(minutes=10), 1)
    with operations.session() as session:
        assert outbox.settle(session, slow, Answer("permanent"), now=NOON) == "sending"
        assert outbox.settle(session, slow, Answer("sent", "p-9"), now=NOON) == "sent"
        assert outbox.settle(session, quick, Answer("unknown"), now=NOON) == "sent"


def test_four_senders_at_once_send_each_mail_once(operations: Operations) -> None:
    keys = [f"alert:{number:02}" for number in range(24)]
    queue(operations, *keys)
    provider = Provider()
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: drain(operations, provider), range(4)))
    assert sum(report.sent for report in reports) == 24
    assert sorted(provider.calls) == keys


def test_mail_about_alerts_that_were_closed_meanwhile_does_not_leave(operations: Operations) -> None:
    episode = an_open_episode(operations)
    with operations.session() as session:
        session.execute(sa.delete(OutboxRow))
    queue(operations, episode_ids=(episode.episode_id,))
    with operations.session() as session:
        episodes.resolve(session, episode.episode_id, notes="", version=1, actor="user:7", now=NOON)
    provider = Provider()
    drain(operations, provider)
    assert (the_mail(operations).status, provider.calls) == ("suppressed", [])


@pytest.mark.parametrize(("is_urgent", "sent"), [(False, 0), (True, 1)])
def test_an_opt_out_holds_everything_but_urgent_mail(
    operations: Operations, is_urgent: bool, sent: int
) -> None:
    with operations.session() as session:
        users.create_user(session, email="coach@example.org", name="C", role="coach", actor="x", now=NOON)
        assert preferences.opt_out(session, "Coach@example.org", "alert", now=NOON)
    queue(operations, is_urgent=is_urgent)
    assert drain(operations, Provider()).sent == sent


def test_a_claimer_does_not_wait_for_another(operations: Operations) -> None:
    queue(operations, "a", "b")
    with operations.session() as first, operations.session() as second:
        (taken,) = outbox.claim_due(first, NOON, 1)
        second.execute(sa.text("set local lock_timeout = '500ms'"))
        (other,) = outbox.claim_due(second, NOON, 5)
    assert {taken.idempotency_key, other.idempotency_key} == {"a", "b"}
