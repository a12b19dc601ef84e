"""Who is told of which alert, when, and how often."""

import uuid
from datetime import timedelta
from typing import Any, cast

import pytest
from act_builders import NOON, a_condition, a_no_show, a_person, due, find, mails, past_the_baseline, tell

from assets.resources import House
from data.operations import episodes, preferences
from data.operations.tables import Severity


@pytest.fixture
def going(house: House) -> House:
    """A house whose rules were evaluated before: what they find from now on is news."""
    past_the_baseline(house)
    return house


def choose(
    house: House, user_id: int, *, at_once: tuple[str, ...] = ("critical",), opt_outs: tuple[str, ...] = ()
) -> None:
    with house.operations.session() as session:
        preferences.save_preferences(
            session, user_id, digest_hour=7, at_once=cast("tuple[Severity, ...]", at_once), opt_outs=opt_outs, now=NOON
        )  # fmt: skip


def close(house: House, episode_id: uuid.UUID, at: Any = NOON) -> None:
    with house.operations.session() as session:
        version = episodes.episode_of(session, episode_id).version
        episodes.resolve(session, episode_id, notes="done", version=version, actor="coach", now=at)


def test_a_critical_alert_goes_at_once_to_the_coach_of_the_tutor(going: House) -> None:
    a_person(going, "nora@example.org", tutors=["T-1"])
    a_person(going, "sam@example.org", tutors=["T-2"])
    find(going, a_no_show())
    assert tell(going) == 1
    mail = mails(going)[0]
    assert (mail.recipient, mail.is_urgent, mail.not_before) == ("nora@example.org", True, NOON)
    assert mail.subject == "Tutor did not join: T-1"


@pytest.mark.parametrize("tutor_id", ["T-9", None])
def test_without_a_coach_the_operations_desk_is_told(going: House, tutor_id: str | None) -> None:
    find(going, a_no_show(tutor_id=tutor_id))
    tell(going)
    assert [mail.recipient for mail in mails(going)] == [going.settings.operations_mail]


def test_what_concerns_the_operators_goes_to_their_desk_whoever_coaches(going: House) -> None:
    a_person(going, "nora@example.org", tutors=["T-1"])
    find(going, a_condition("customer_health_critical", "C-1"))
    tell(going)
    assert [mail.recipient for mail in mails(going)] == [going.settings.operations_mail]


def test_an_alert_is_told_once_however_often_it_runs(going: House) -> None:
    find(going, a_no_show())
    assert [tell(going), tell(going), tell(going, at=NOON + timedelta(minutes=5))] == [1, 0, 0]
    find(going, a_no_show(), at=NOON + timedelta(minutes=5))
    assert tell(going, at=NOON + timedelta(minutes=6)) == 0
    assert len(mails(going)) == 1


def test_what_the_receiver_opened_is_told_and_the_fast_lane_adds_nothing(going: House) -> None:
    find(going, a_no_show(), is_partial=True)
    assert tell(going) == 1
    later = NOON + timedelta(minutes=5)
    report = find(going, a_no_show(evidence={"measure": "minutes waited", "value": 30}), at=later)
    assert report.count("opened") == 0
    assert tell(going, at=later) == 0


def test_a_severity_that_is_raised_later_is_told_again_with_what_it_was(going: House) -> None:
    late = {"rule_code": "tutor_health_low", "entity_id": "T-1"}
    find(going, a_condition(**late, severity="medium"))
    assert tell(going) == 0
    find(going, a_condition(**late, severity="critical"), at=NOON + timedelta(hours=1))
    assert tell(going, at=NOON + timedelta(hours=1)) == 1
    assert mails(going)[0].subject.startswith("Now critical: ")
    assert "was medium" in mails(going)[0].text
    assert tell(going, at=NOON + timedelta(hours=2)) == 0


def test_what_is_raised_after_it_was_told_is_told_a_second_time(going: House) -> None:
    find(going, a_condition(severity="high"))
    assert tell(going) == 1
    find(going, a_condition(severity="critical"), at=NOON + timedelta(minutes=1))
    assert tell(going, at=NOON + timedelta(minutes=1)) == 1


def test_an_alert_that_is_opened_again_is_told_again_and_then_is_quiet(going: House) -> None:
    episode = find(going, a_no_show()).changes[0].episode
    assert tell(going) == 1
    close(going, episode.episode_id)
    later = NOON + timedelta(hours=1)
    with going.operations.session() as session:
        version = episodes.episode_of(session, episode.episode_id).version
        episodes.reopen(
            session, episode.episode_id, reason="again", version=version, actor="coach", now=later
        )
    assert tell(going, at=later) == 1
    assert due(going, at=later + timedelta(minutes=1)) == 0


def test_what_was_recorded_after_our_clock_was_read_waits_for_the_next_pass(going: House) -> None:
    """Its mail would be dated before it, and it would look untold for a day."""
    find(going, a_no_show(), at=NOON + timedelta(seconds=1), is_partial=True)
    assert tell(going) == 0
    assert tell(going, at=NOON + timedelta(seconds=2)) == 1
    assert due(going, at=NOON + timedelta(minutes=1)) == 0


def test_more_than_five_criticals_for_one_person_make_one_mail(going: House) -> None:
    a_person(going, "nora@example.org", tutors=[f"T-{number}" for number in range(6)])
    find(going, *(a_no_show(f"S-{number}", f"T-{number}") for number in range(6)))
    assert tell(going) == 1
    mail = mails(going)[0]
    assert mail.subject == "6 critical alerts"
    assert len(mail.episode_ids) == 6
    assert due(going, at=NOON + timedelta(minutes=5)) == 0


def test_five_criticals_are_five_mails(going: House) -> None:
    find(going, *(a_no_show(f"S-{number}") for number in range(5)))
    assert tell(going) == 5


def test_what_a_rule_finds_at_its_first_look_waits_for_the_digest(house: House) -> None:
    find(house, a_no_show())
    assert tell(house) == 0


def test_what_happened_more_than_a_day_ago_waits_for_the_digest(going: House) -> None:
    find(going, a_no_show(occurred_at=NOON - timedelta(hours=25)))
    assert tell(going) == 0


def test_an_alert_that_was_closed_before_it_was_told_makes_no_mail(going: House) -> None:
    episode = find(going, a_no_show()).changes[0].episode
    close(going, episode.episode_id)
    assert tell(going) == 0


def test_a_high_alert_waits_a_quarter_of_an_hour_and_is_one_mail_per_person(going: House) -> None:
    a_person(going, "nora@example.org", tutors=["T-1", "T-2"])
    find(going, a_condition(entity_id="T-1"), a_condition(entity_id="T-2"))
    assert tell(going) == 1
    assert mails(going)[0].not_before == NOON + timedelta(minutes=15)


def test_who_opted_out_of_alerts_still_hears_of_critical_ones(going: House) -> None:
    nora = a_person(going, "nora@example.org", tutors=["T-1"])
    choose(going, nora.user_id, opt_outs=("alert",))
    find(going, a_no_show(), a_condition(entity_id="T-1"))
    tell(going)
    assert [mail.subject for mail in mails(going)] == ["Tutor did not join: T-1"]


def test_who_opted_out_of_one_rule_hears_of_the_others(going: House) -> None:
    nora = a_person(going, "nora@example.org", tutors=["T-1"])
    choose(going, nora.user_id, opt_outs=("tutor_health_low",))
    find(going, a_condition(entity_id="T-1"), a_condition("tutor_churn_risk_high", "T-1"))
    tell(going)
    assert [mail.subject for mail in mails(going)] == ["Tutor may stop teaching: T-1"]


def test_who_asks_for_milder_ones_at_once_gets_them_at_once(going: House) -> None:
    nora = a_person(going, "nora@example.org", tutors=["T-1"])
    choose(going, nora.user_id, at_once=("critical", "high"))
    find(going, a_condition(entity_id="T-1"))
    tell(going)
    assert mails(going)[0].not_before == NOON


def test_a_medium_alert_is_left_to_the_digest(going: House) -> None:
    find(going, a_condition("high_reschedule_rate", severity="medium"))
    assert tell(going) == 0


def test_a_coach_who_left_is_not_written_to(going: House) -> None:
    from data.operations import users

    nora = a_person(going, "nora@example.org", tutors=["T-1"])
    with going.operations.session() as session:
        users.set_active(session, nora.user_id, is_active=False, actor="test", now=NOON)
    find(going, a_no_show())
    tell(going)
    assert [mail.recipient for mail in mails(going)] == [going.settings.operations_mail]


def test_a_mail_names_the_version_that_its_numbers_come_from(going: House) -> None:
    from act_builders import publish

    version = publish(going)
    find(going, a_no_show())
    tell(going)
    assert mails(going)[0].publication_id == version
    assert f"published version {version}" in mails(going)[0].text
