"""The daily short list: who reads it, what is in it, when it leaves."""

from datetime import UTC, date, datetime, timedelta

import pytest
import yaml
from act_builders import (
    NOON,
    TODAY,
    a_condition,
    a_no_show,
    a_person,
    find,
    mails,
    make_marts,
    past_the_baseline,
)

from assets.act.digests import METRICS, Digest, Reader, enqueue_digest, gather, key_metrics, readers
from assets.act.names import Names
from assets.resources import House
from data.lake.writer import LakeWriter
from data.operations import preferences
from data.operations.tables import OutboxRow
from data.settings import Settings
from notifications.content import Metric

DESK = Reader("operations@localhost", "Operations", 7, None)
NORA = Reader("nora@example.org", "Nora", 7, ["T-1"])


def sections_of(house: House, reader: Reader, *, at: datetime = NOON) -> dict[str, list[str]]:
    with house.operations.session() as session:
        found = gather(session, reader, now=at).sections
        return {name: sorted(one.fingerprint for one in episodes) for name, episodes in found.items()}


def queue(
    house: House,
    reader: Reader,
    *,
    at: datetime = NOON,
    day: date = TODAY,
    names: Names | None = None,
    metrics: tuple[Metric, ...] = (),
    settings: Settings | None = None,
) -> bool:
    with house.operations.session() as session:
        digest = gather(session, reader, now=at)
        return enqueue_digest(
            session, digest, names or Names(), metrics, settings or house.settings, day=day, now=at
        )


def digests(house: House) -> list[OutboxRow]:
    return mails(house, "digest")


def test_a_coach_never_sees_another_ones_tutor(house: House) -> None:
    past_the_baseline(house)
    find(
        house,
        a_no_show("S-1", "T-1"),
        a_no_show("S-2", "T-2"),
        a_condition("customer_health_critical", "C-1"),
        a_condition("supply_shortage", "algebra", "medium"),
    )
    assert sections_of(house, NORA) == {"new": ["tutor_no_show:session:S-1"]}
    assert len(sections_of(house, DESK)["new"]) == 4
    queue(house, NORA, names=Names({"T-1": "Dana", "T-2": "Zora"}))
    assert "Dana" in digests(house)[0].text
    assert "Zora" not in digests(house)[0].html
    assert "T-2" not in digests(house)[0].html


def test_a_coach_without_tutors_sees_nobodys(house: House) -> None:
    past_the_baseline(house)
    find(house, a_no_show())
    assert sections_of(house, Reader("new@example.org", "New", 7, [])) == {}


def test_sections_tell_what_happened_since_the_readers_own_last_digest(house: House) -> None:
    """Yesterday: two alerts. Since then one got worse, one ended, one is new, one stands, one was never seen."""
    past_the_baseline(house)
    yesterday = NOON - timedelta(days=1)
    standing = [
        a_condition(entity_id="T-1", severity="medium"),
        a_condition(entity_id="T-2"),
        a_condition(entity_id="T-3"),
    ]
    find(house, *standing, at=yesterday - timedelta(hours=2))
    roster = Reader("nora@example.org", "Nora", 7, ["T-1", "T-2", "T-3", "T-4"])
    assert set(sections_of(house, roster, at=yesterday)) == {"new"}
    assert queue(house, roster, at=yesterday, day=TODAY - timedelta(days=1))
    find(house, a_condition(entity_id="T-1"), standing[2], a_condition(entity_id="T-4"), at=NOON)
    later = NOON + timedelta(hours=1)
    assert sections_of(house, roster, at=later) == {
        "new": ["tutor_health_low:tutor:T-4"],
        "worse": ["tutor_health_low:tutor:T-1"],
        "still_open": ["tutor_health_low:tutor:T-3"],
        "resolved": ["tutor_health_low:tutor:T-2"],
    }
    assert queue(house, roster, at=later)
    assert digests(house)[1].subject == "Your day: 1 new, 1 worse, 1 still open, 1 resolved"
    # The desk has had no digest yet: its own first one looks back a day, whatever Nora has read.
    assert sections_of(house, DESK, at=later)["new"] == ["tutor_health_low:tutor:T-4"]


def test_what_was_told_as_resolved_is_not_told_again(house: House) -> None:
    past_the_baseline(house)
    find(house, a_condition(), at=NOON - timedelta(hours=2))
    find(house, at=NOON - timedelta(hours=1))
    assert set(sections_of(house, NORA)) == {"resolved"}
    queue(house, NORA)
    assert sections_of(house, NORA, at=NOON + timedelta(days=1)) == {}


def test_shortages_have_a_block_of_their_own_on_the_desks_digest_only(house: House) -> None:
    past_the_baseline(house)
    find(house, a_condition("supply_shortage", "algebra", "high"), a_no_show())
    queue(house, DESK)
    queue(house, NORA)
    texts = {mail.recipient: mail.text for mail in digests(house)}
    assert texts[DESK.address].count("Demand will not be met") == 1
    assert "Supply that will not meet demand" in texts[DESK.address]
    assert "Demand will not be met" not in texts[NORA.address]
    assert "Supply that will not meet demand" not in texts[NORA.address]


def test_key_numbers_stand_on_the_desks_digest_only(house: House) -> None:
    metric = (Metric("Sessions today", "120", "4 % more than a week ago"),)
    queue(house, DESK, metrics=metric)
    queue(house, NORA, metrics=metric)
    shown = {mail.recipient: "Sessions today: 120" in mail.text for mail in digests(house)}
    assert shown == {DESK.address: True, NORA.address: False}


def test_there_is_one_digest_per_reader_and_day(house: House) -> None:
    past_the_baseline(house)
    find(house, a_no_show())
    assert [queue(house, NORA), queue(house, NORA), queue(house, DESK)] == [True, False, True]
    assert queue(house, NORA, day=TODAY + timedelta(days=1))
    assert len(digests(house)) == 3


@pytest.mark.parametrize(
    ("day", "hour", "zone", "leaves_at"),
    [
        (date(2026, 3, 2), 7, "America/New_York", datetime(2026, 3, 2, 12, tzinfo=UTC)),
        # The clocks go forward in the night to the 8th: seven o'clock comes an hour earlier.
        (date(2026, 3, 8), 7, "America/New_York", datetime(2026, 3, 8, 11, tzinfo=UTC)),
        (date(2026, 11, 1), 7, "America/New_York", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        # Two o'clock does not exist that day; the mail leaves when it would have been.
        (date(2026, 3, 8), 2, "America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
        (date(2026, 3, 2), 0, "Asia/Tokyo", datetime(2026, 3, 1, 15, tzinfo=UTC)),
        (date(2026, 3, 2), 23, "UTC", datetime(2026, 3, 2, 23, tzinfo=UTC)),
    ],
)
def test_a_digest_leaves_at_the_readers_hour_in_the_business_time_zone(
    house: House, day: date, hour: int, zone: str, leaves_at: datetime
) -> None:
    settings = house.settings.model_copy(update={"business_time_zone": zone})
    queue(house, Reader("nora@example.org", "Nora", hour, []), day=day, settings=settings)
    assert digests(house)[0].not_before == leaves_at


def test_coaches_who_want_a_digest_get_one_and_the_desk_always_does(house: House) -> None:
    nora = a_person(house, "nora@example.org", tutors=["T-2", "T-1"])
    sam = a_person(house, "sam@example.org", tutors=["T-3"])
    a_person(house, "ana@example.org", role="analyst")
    with house.operations.session() as session:
        preferences.save_preferences(
            session, nora.user_id, digest_hour=6, at_once=["critical"], opt_outs=[], now=NOON
        )
        preferences.save_preferences(
            session, sam.user_id, digest_hour=7, at_once=["critical"], opt_outs=["digest"], now=NOON
        )
        found = readers(session, house.settings, now=NOON)
    assert found == [Reader("nora@example.org", "Nora", 6, ["T-1", "T-2"]), DESK]


def test_lines_are_worst_first(house: House) -> None:
    past_the_baseline(house)
    find(house, a_condition("high_reschedule_rate", severity="medium"), a_condition(), a_no_show())
    queue(house, NORA)
    text = digests(house)[0].text
    places = [
        text.index(title)
        for title in ("Tutor did not join", "Tutor health is low", "Tutor reschedules often")
    ]
    assert places == sorted(places)


def test_an_empty_day_says_so(house: House) -> None:
    queue(house, NORA)
    assert digests(house)[0].subject == "Your day: nothing new"
    assert "nothing is open" in digests(house)[0].text


def test_a_digest_knows_which_alerts_are_in_it(house: House) -> None:
    past_the_baseline(house)
    find(house, a_no_show())
    with house.operations.session() as session:
        digest = gather(session, NORA, now=NOON)
    assert isinstance(digest, Digest)
    queue(house, NORA)
    assert digests(house)[0].episode_ids == [digest.all()[0].episode_id]


def test_key_numbers_are_put_beside_those_of_a_week_ago(marts: LakeWriter, house: House) -> None:
    make_marts(marts, house)
    marts.connection.execute(
        "insert into lake.marts.fct_daily_kpis values ('2026-03-02', 120, 4.5, 0.05, null), "
        "('2026-02-23', 100, 4.5, 0.0, 0.1)"
    )
    assert key_metrics(marts, TODAY) == (
        Metric("Sessions today", "120", "20 % more than a week ago"),
        Metric("Rating, 7 days", "4.5", ""),
        Metric("No-shows, 7 days", "5.0 %", ""),
    )
    assert key_metrics(marts, date(2026, 1, 1)) == ()


def test_the_key_numbers_are_columns_of_the_mart(house: House) -> None:
    text = (house.settings.dbt_project_path / "models" / "marts" / "_marts.yml").read_text()
    mart = next(model for model in yaml.safe_load(text)["models"] if model["name"] == "fct_daily_kpis")
    assert set(METRICS) <= {column["name"] for column in mart["columns"]}
