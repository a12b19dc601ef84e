"""Decisions about the quarantine start a replay, and the replay carries them out; checks of the data tell who asks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import pytest

from assets.ingest.definitions import replays
from assets.resources import House
from data.contracts import Correction
from data.lake.intake import Arrival, take_in
from data.lake.writer import LakeWriter
from data.operations import corrections as decisions
from orchestration.checks import (
    no_contract_has_drifted,
    no_feed_has_an_unusual_volume,
    no_feed_refuses_much,
)
from orchestration.sensors import on_replay_requests

YESTERDAY = datetime(2026, 3, 1, 17, tzinfo=UTC)
BAD = {
    "session_id": "s1",
    "status": "done",
    "scheduled_start_at": "2026-03-01T10:00:00Z",
    "updated_at": "2026-03-01T11:00:00Z",
}


def ask(instance: dg.DagsterInstance, house: House) -> Any:
    return on_replay_requests(dg.build_sensor_context(instance=instance, resources={"house": house}))


def decide(house: House) -> None:
    with house.operations.session() as session:
        decisions.add_correction(
            session,
            source="rails.pull",
            kind="sessions",
            correction=Correction("replace", "status", "done", "finished"),
            note="a word of the app",
            actor="ana",
            now=YESTERDAY,
        )
        decisions.request_replay(session, actor="ana", now=YESTERDAY, source="rails.pull")


def test_a_decision_starts_the_replay_unless_one_is_under_way(
    house: House, instance: dg.DagsterInstance
) -> None:
    assert ask(instance, house).skip_message == "nobody asked for anything"
    decide(house)
    assert ask(instance, house).tags == {"chalkline/requests": "1"}
    assert ask(instance, house).run_key is None
    instance.add_run(dg.DagsterRun(job_name="replay", status=dg.DagsterRunStatus.STARTED))
    assert "under way" in ask(instance, house).skip_message


def test_the_asset_carries_out_what_was_decided_and_the_sensor_rests(
    house: House, lake: LakeWriter, instance: dg.DagsterInstance
) -> None:
    take_in(lake, "sessions", [BAD], Arrival("rails.pull", YESTERDAY, date(2026, 3, 1)))
    decide(house)
    result = dg.materialize([replays], resources={"house": house}, instance=instance)
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert (metadata["requests"].value, metadata["tried"].value, metadata["loaded"].value) == (1, 1, 1)
    assert lake.read("select status from lake.raw_marketplace.sessions")["status"].to_list() == ["finished"]
    assert ask(instance, house).skip_message == "nobody asked for anything"


@pytest.fixture
def marts(lake: LakeWriter) -> LakeWriter:
    """The three reports as dbt leaves them, with nothing to tell."""
    for table in (
        "rpt_feed_volume (source varchar, kind varchar, as_of_date date, record_count bigint, usual_count double, "
        "low_count double, high_count double, is_unusual boolean)",
        "rpt_contract_drift (source varchar, kind varchar, field varchar, change varchar)",
        "rpt_source_quality (source varchar, kind varchar, as_of_date date, read_count bigint, "
        "quarantined_count bigint, is_refusing_much boolean)",
    ):
        lake.connection.execute(f"create or replace table lake.marts.{table}")
    return lake


def test_an_unusual_volume_of_today_is_told_and_one_of_yesterday_is_not(
    house: House, marts: LakeWriter
) -> None:
    insert = "insert into lake.marts.rpt_feed_volume values "
    marts.connection.execute(insert + "('rails.pull', 'sessions', '2026-03-01', 9, 100, 60, 140, true)")
    marts.connection.execute(insert + "('rails.pull', 'sessions', '2026-03-02', 90, 100, 60, 140, false)")
    assert no_feed_has_an_unusual_volume(house).passed
    marts.connection.execute(insert + "('rails.pull', 'tutors', '2026-03-02', 9, 100, 60, 140, true)")
    found = no_feed_has_an_unusual_volume(house)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description is not None
    assert "rails.pull tutors: 9 new records so far, usually 100.0" in found.description


def test_a_drift_is_told_by_field_and_change(house: House, marts: LakeWriter) -> None:
    assert no_contract_has_drifted(house).passed
    marts.connection.execute(
        "insert into lake.marts.rpt_contract_drift values ('rails.pull', 'sessions', 'stars', 'new'), "
        "('rails.pull', 'sessions', 'rating', 'gone')"
    )
    found = no_contract_has_drifted(house)
    assert found.description == "rails.pull sessions: rating is gone, stars is new"
    assert found.severity == dg.AssetCheckSeverity.WARN


def test_a_feed_of_which_much_is_refused_is_told(house: House, marts: LakeWriter) -> None:
    assert no_feed_refuses_much(house).passed
    marts.connection.execute(
        "insert into lake.marts.rpt_source_quality values ('rails.pull', 'sessions', '2026-03-02', 100, 3, true), "
        "('rails.pull', 'tutors', '2026-03-02', 100, 1, false)"
    )
    found = no_feed_refuses_much(house)
    assert found.description == "rails.pull sessions: 3 of 100 refused today"
