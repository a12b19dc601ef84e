import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifications.policy import (
    Change,
    Delivery,
    Desks,
    Recipient,
    digest_section,
    plan,
    recipient_of,
    timing,
    wants_digest,
    worst,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
KIM = Recipient("kim@example.org", "Kim")
DESKS = Desks(Recipient("operations@example.org", "Operations"), Recipient("data@example.org", "Engineering"))


def a_change(number: int = 1, **changes: Any) -> Change:
    change = Change(
        episode_id=f"e-{number}",
        kind="opened",
        rule_code="tutor_no_show",
        severity="critical",
        audience="coach",
        tutor_id="T-1",
        occurred_at=NOON - timedelta(minutes=5),
    )
    return dataclasses.replace(change, **changes)


def coach_of(tutor_id: str) -> Recipient | None:
    return KIM if tutor_id == "T-1" else None


def planned(*changes: Change) -> list[Delivery]:
    return plan(changes, coach_of=coach_of, desks=DESKS, now=NOON)


@pytest.mark.parametrize(
    ("change", "recipient", "expected"),
    [
        (a_change(), KIM, "at_once"),
        (a_change(severity="high"), KIM, "within_the_hour"),
        (a_change(severity="medium"), KIM, "digest"),
        (a_change(severity="low"), KIM, "digest"),
        (a_change(kind="severity_raised"), KIM, "at_once"),
        (a_change(kind="updated"), KIM, "digest"),
        (a_change(kind="auto_resolved"), KIM, "digest"),
        (a_change(kind="reopened"), KIM, "digest"),
        (a_change(is_baseline=True), KIM, "digest"),
        (a_change(occurred_at=NOON - timedelta(hours=24)), KIM, "at_once"),
        (a_change(occurred_at=NOON - timedelta(hours=24, seconds=1)), KIM, "digest"),
        (a_change(occurred_at=None), KIM, "at_once"),
        (a_change(severity="medium"), dataclasses.replace(KIM, at_once=frozenset({"medium"})), "at_once"),
        (a_change(severity="high"), dataclasses.replace(KIM, opt_outs=frozenset({"alert"})), "digest"),
        (
            a_change(severity="high"),
            dataclasses.replace(KIM, opt_outs=frozenset({"tutor_no_show"})),
            "digest",
        ),
        (
            a_change(severity="high"),
            dataclasses.replace(KIM, opt_outs=frozenset({"other"})),
            "within_the_hour",
        ),
        (a_change(), dataclasses.replace(KIM, at_once=frozenset(), opt_outs=frozenset({"alert"})), "at_once"),
    ],
)
def test_severity_and_wishes_decide_when_mail_leaves(
    change: Change, recipient: Recipient, expected: str
) -> None:
    assert timing(change, recipient, now=NOON) == expected


@pytest.mark.parametrize(
    ("change", "address"),
    [
        (a_change(), "kim@example.org"),
        (a_change(tutor_id="T-2"), "operations@example.org"),
        (a_change(tutor_id=None), "operations@example.org"),
        (a_change(audience="operator"), "operations@example.org"),
        (a_change(audience="engineer"), "data@example.org"),
    ],
)
def test_the_coach_hears_of_own_tutors_and_a_desk_of_the_rest(change: Change, address: str) -> None:
    assert recipient_of(change, coach_of=coach_of, desks=DESKS).address == address


def test_five_criticals_are_five_mails_and_six_are_one() -> None:
    assert [d.is_list for d in planned(*(a_change(n) for n in range(5)))] == [False] * 5
    (burst,) = planned(*(a_change(n) for n in range(6)))
    assert burst.is_list
    assert burst.is_urgent
    assert [c.episode_id for c in burst.changes] == [f"e-{n}" for n in range(6)]


def test_a_burst_is_counted_for_each_person() -> None:
    deliveries = planned(*(a_change(n) for n in range(6)), a_change(9, tutor_id="T-2"))
    assert [(d.recipient.address, len(d.changes)) for d in deliveries] == [
        ("kim@example.org", 6),
        ("operations@example.org", 1),
    ]


def test_a_storm_is_one_mail_for_each_person() -> None:
    assert len(planned(*(a_change(n) for n in range(5000)))) == 1


def test_high_alerts_of_one_pass_are_one_mail_that_waits_a_little() -> None:
    (delivery,) = planned(a_change(1, severity="high"), a_change(2, severity="high"))
    assert (delivery.timing, delivery.not_before) == ("within_the_hour", NOON + timedelta(minutes=15))
    assert not delivery.is_urgent


def test_what_waits_for_the_digest_makes_no_mail() -> None:
    assert planned(a_change(severity="low"), a_change(2, is_baseline=True)) == []


def test_the_plan_does_not_depend_on_the_order_of_changes() -> None:
    changes = [a_change(n, severity="high" if n % 2 else "critical") for n in range(4)]
    assert planned(*changes) == planned(*reversed(changes))


@pytest.mark.parametrize(
    ("opened", "worse", "closed", "section"),
    [
        (1, None, None, "new"),
        (1, 2, None, "new"),
        (-1, 1, None, "worse"),
        (-2, -1, None, "still_open"),
        (-1, None, 1, "resolved"),
        (1, None, 2, "resolved"),
        (-2, None, -1, None),
    ],
)
def test_a_digest_says_what_is_new_worse_open_and_resolved(
    opened: int, worse: int | None, closed: int | None, section: str | None
) -> None:
    def at(hours: int | None) -> datetime | None:
        return None if hours is None else NOON + timedelta(hours=hours)

    assert (
        digest_section(
            opened_at=NOON + timedelta(hours=opened), worse_at=at(worse), closed_at=at(closed), since=NOON
        )
        == section
    )


def test_a_person_can_opt_out_of_the_digest() -> None:
    assert wants_digest(KIM)
    assert not wants_digest(dataclasses.replace(KIM, opt_outs=frozenset({"digest"})))


def test_the_worst_severity_is_found() -> None:
    assert worst(["low", "high", "medium"]) == "high"
