"""Reading candidates and rules as the marts hold them, and the names of those they are about."""

from datetime import UTC, date, datetime, timedelta

import pytest
from act_builders import (
    NOON,
    TODAY,
    a_condition,
    a_no_show,
    make_marts,
    put_candidates,
    put_names,
)

from assets.act.candidates import read_candidates, read_rules
from assets.act.names import Names, read_names
from assets.resources import House
from data.lake.writer import LakeWriter
from data.operations.tables import AlertEpisode
from data.rulebook import alert_rules


def an_episode(**fields: str | None) -> AlertEpisode:
    return AlertEpisode(**fields)


def test_candidates_of_the_day_come_back_as_they_were_found(marts: LakeWriter, house: House) -> None:
    found = [a_condition(), a_no_show()]
    make_marts(marts, house, *found)
    put_candidates(marts, a_no_show("S-old"), day=TODAY - timedelta(days=1))
    assert read_candidates(marts, TODAY) == found
    assert read_candidates(marts, date(2026, 1, 1)) == []


def test_an_instant_of_the_lake_is_read_as_utc(marts: LakeWriter, house: House) -> None:
    make_marts(marts, house, a_no_show(occurred_at=datetime(2026, 3, 2, 4, 30, tzinfo=UTC)))
    assert read_candidates(marts, TODAY)[0].occurred_at == datetime(2026, 3, 2, 4, 30, tzinfo=UTC)


def test_evidence_that_is_no_json_is_an_error(marts: LakeWriter, house: House) -> None:
    make_marts(marts, house, a_no_show())
    marts.connection.execute("update lake.marts.fct_alert_candidates set evidence = 'late'")
    with pytest.raises(ValueError, match="Expecting value"):
        read_candidates(marts, TODAY)


def test_the_rules_of_the_lake_are_those_of_the_seed(marts: LakeWriter, house: House) -> None:
    make_marts(marts, house)
    assert read_rules(marts) == alert_rules(house.settings)


def test_the_newest_known_name_is_used(lake: LakeWriter) -> None:
    put_names(
        lake,
        "tutor",
        [
            ("T-1", "Dana Whitfield", NOON - timedelta(days=2)),
            ("T-1", "Dana Stone", NOON),
            ("T-1", None, NOON + timedelta(days=1)),
            ("T-2", "Somebody Else", NOON),
        ],
    )
    put_names(lake, "customer", [("C-1", "Omar Reyes", NOON)])
    names = read_names(
        lake,
        [
            an_episode(entity_type="session", entity_id="S-1", tutor_id="T-1", customer_id="C-9"),
            an_episode(entity_type="customer", entity_id="C-1"),
        ],
    )
    assert names == Names({"T-1": "Dana Stone"}, {"C-1": "Omar Reyes"})


def test_an_id_without_a_name_stays_an_id(lake: LakeWriter) -> None:
    session = an_episode(entity_type="session", entity_id="S-1", tutor_id="T-1")
    customer = an_episode(entity_type="customer", entity_id="C-1")
    names = read_names(lake, [session, customer])
    assert names.about(session) == ("T-1", "Tutor T-1, session S-1")
    assert names.about(customer) == ("C-1", "Customer C-1")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"entity_type": "tutor", "entity_id": "T-1", "tutor_id": "T-1"}, ("Dana", "Tutor T-1")),
        (
            {"entity_type": "session", "entity_id": "S-1", "tutor_id": "T-1"},
            ("Dana", "Tutor T-1, session S-1"),
        ),
        ({"entity_type": "customer", "entity_id": "C-1"}, ("Omar", "Customer C-1")),
        ({"entity_type": "session", "entity_id": "S-1"}, ("S-1", "Session")),
        ({"entity_type": "subject", "entity_id": "algebra"}, ("algebra", "Subject")),
        (
            {"entity_type": "source", "entity_id": "rails.pull:sessions"},
            ("Sessions from the marketplace's API", "Feed rails.pull:sessions"),
        ),
    ],
)
def test_an_alert_says_whom_it_is_about(fields: dict[str, str], told: tuple[str, str]) -> None:
    assert Names({"T-1": "Dana"}, {"C-1": "Omar"}).about(an_episode(**fields)) == told


def test_nobody_is_looked_up_for_no_episodes(lake: LakeWriter) -> None:
    assert read_names(lake, []) == Names()
