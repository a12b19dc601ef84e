"""The line behind the answers: nobody waits for it, nobody is left out, and one bad message is alone in its fate."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from receiver_builders import NOON, a_session

from app.receiver.judge import MOST_AT_ONCE, InstantJudge, JudgeLine
from data.clock import FixedClock
from data.contracts.messages import Message, Part
from data.operations.store import Operations
from data.operations.tables import AlertEpisode
from data.settings import Settings


def a_message(session_id: str = "s1", **changes: Any) -> Message:
    record = a_session(session_id, **changes) | {"status": "finished", "updated_at": "2026-03-01T11:05:00Z"}
    return Message("session.completed", (Part("sessions", record),))


class SlowJudge:
    """Judges only once it is let."""

    def __init__(self, spoil: Callable[[Message], bool] = lambda _: False) -> None:
        self.may_begin = threading.Event()
        self.batches: list[tuple[Message, ...]] = []
        self._spoil = spoil

    def judge(self, *messages: Message) -> None:
        assert self.may_begin.wait(30)
        self.batches.append(messages)
        if any(self._spoil(message) for message in messages):
            raise ValueError("cannot be judged")


def test_putting_never_waits_and_what_waits_is_judged_together() -> None:
    judge = SlowJudge()
    line = JudgeLine(judge.judge, gather_seconds=0.0)
    messages = [a_message(f"s{number}") for number in range(3 * MOST_AT_ONCE)]
    for message in messages:
        line.put(message)
    assert judge.batches == []
    judge.may_begin.set()
    line.close()
    assert [message for batch in judge.batches for message in batch] == messages
    assert max(map(len, judge.batches)) == MOST_AT_ONCE
    assert len(judge.batches) <= 4


def test_a_message_that_cannot_be_judged_does_not_take_others_with_it() -> None:
    poison = a_message("poison")
    judge = SlowJudge(spoil=lambda message: message is poison)
    line = JudgeLine(judge.judge, gather_seconds=0.0)
    good = [a_message(f"s{number}") for number in range(4)]
    for message in (*good[:2], poison, *good[2:]):
        line.put(message)
    judge.may_begin.set()
    line.close()
    whole = [batch for batch in judge.batches if poison not in batch]
    assert [message for batch in whole for message in batch] == good


def test_the_first_message_waits_for_company_but_not_when_the_line_closes() -> None:
    judge = SlowJudge()
    judge.may_begin.set()
    line = JudgeLine(judge.judge, gather_seconds=600.0)
    messages = [a_message(f"s{number}") for number in range(5)]
    for message in messages:
        line.put(message)
    line.close()
    assert judge.batches == [tuple(messages)]


def test_a_line_outlives_its_failures() -> None:
    judge = SlowJudge(spoil=lambda message: True)
    judge.may_begin.set()
    line = JudgeLine(judge.judge, gather_seconds=0.0)
    for number in range(5):
        line.put(a_message(f"s{number}"))
    line.close()
    assert len({id(message) for batch in judge.batches for message in batch}) == 5


@pytest.mark.parametrize("together", [True, False])
def test_versions_of_one_session_open_one_episode_at_the_worst_severity(
    operations: Operations, together: bool
) -> None:
    judge = InstantJudge(Settings(), operations, FixedClock(NOON))
    versions = [
        a_message("s1", tutor_join_time="2026-03-01T10:15:00Z"),
        a_message("s1", tutor_join_time="2026-03-01T10:25:00Z"),
        a_message("s2", tutor_join_time="2026-03-01T10:15:00Z"),
    ]
    for batch in [versions] if together else [[version] for version in versions]:
        judge.judge(*batch)
    with operations.session() as session:
        found = session.execute(
            sa.select(AlertEpisode.session_id, AlertEpisode.severity).order_by(AlertEpisode.session_id)
        )
        assert list(found.tuples()) == [("s1", "high"), ("s2", "medium")]
