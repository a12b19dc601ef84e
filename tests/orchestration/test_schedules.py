"""When lanes run, and for which business day."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import dagster as dg
import pytest

from assets.days import AS_OF_FROM_TAG, daily_partitions
from assets.resources import House
from data.operations import publications
from orchestration.jobs import LANES
from orchestration.schedules import CRON, build_schedules

ZONE = "America/New_York"
NOON = datetime(2026, 3, 2, 17, tzinfo=UTC)
JOBS = {lane: dg.define_asset_job(lane) for lane in LANES}
SCHEDULES = {schedule.name.removesuffix("_schedule"): schedule for schedule in build_schedules(JOBS, ZONE)}


def tick(lane: str, house: House, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=house.clock.now(), resources={"house": house}
    )
    outcome = SCHEDULES[lane](context)
    assert isinstance(outcome, dg.RunRequest | dg.SkipReason)
    return outcome


def requested(lane: str, house: House, instance: dg.DagsterInstance) -> dg.RunRequest:
    outcome = tick(lane, house, instance)
    assert isinstance(outcome, dg.RunRequest)
    return outcome


def publish_the_night(house: House, day: date) -> None:
    with house.operations.session() as session:
        publications.publish(
            session, snapshot_id=1, lane="nightly", as_of_date=day, checks={}, now=house.clock.now()
        )


@pytest.mark.parametrize("lane", ["fast", "scores", "nightly"])
@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-03-03T04:59:59+00:00", "2026-03-02"),
        ("2026-03-03T05:00:00+00:00", "2026-03-03"),
        # The day of 23 hours: midnight comes at 05:00 UTC before, and at 04:00 UTC after it.
        ("2026-03-08T04:59:00+00:00", "2026-03-07"),
        ("2026-03-08T05:00:00+00:00", "2026-03-08"),
        ("2026-03-09T03:59:00+00:00", "2026-03-08"),
        ("2026-03-09T04:00:00+00:00", "2026-03-09"),
        # The day of 25 hours.
        ("2026-11-01T03:59:00+00:00", "2026-10-31"),
        ("2026-11-02T04:59:00+00:00", "2026-11-01"),
        ("2026-11-02T05:00:00+00:00", "2026-11-02"),
        ("2028-02-29T17:00:00+00:00", "2028-02-29"),
    ],
)
def test_a_lane_runs_for_the_business_day(
    house_at: Callable[[datetime], House], instance: dg.DagsterInstance, lane: str, instant: str, day: str
) -> None:
    house = house_at(datetime.fromisoformat(instant))
    assert requested(lane, house, instance).partition_key == day


@pytest.mark.parametrize("lane", ["hourly", "upkeep"])
def test_what_is_not_built_by_day_has_no_partition(
    house: House, instance: dg.DagsterInstance, lane: str
) -> None:
    assert requested(lane, house, instance).partition_key is None


def test_one_tick_is_one_run(house: House, instance: dg.DagsterInstance) -> None:
    keys = {requested(lane, house, instance).run_key for lane in CRON for _ in range(2)}
    assert keys == {f"{lane}:2026-03-02T17:00:00+00:00" for lane in CRON}


@pytest.mark.parametrize("lane", list(CRON))
def test_a_lane_that_is_under_way_is_not_queued_behind_itself(
    house: House, instance: dg.DagsterInstance, lane: str
) -> None:
    instance.add_run(dg.DagsterRun(job_name=lane, status=dg.DagsterRunStatus.STARTED))
    assert isinstance(tick(lane, house, instance), dg.SkipReason)
    other = next(one for one in CRON if one != lane)
    assert isinstance(tick(other, house, instance), dg.RunRequest)


@pytest.mark.parametrize(
    ("last_night", "begins"),
    [
        (None, "2026-03-01"),
        (date(2026, 3, 1), "2026-03-01"),
        # Three days without a night: all of them are built whole.
        (date(2026, 2, 26), "2026-02-26"),
        (date(2026, 3, 2), None),
    ],
)
def test_a_night_finishes_every_day_since_the_last_one(
    house: House, instance: dg.DagsterInstance, last_night: date | None, begins: str | None
) -> None:
    if last_night is not None:
        publish_the_night(house, last_night)
    assert requested("nightly", house, instance).tags.get(AS_OF_FROM_TAG) == begins


def test_the_other_lanes_build_one_day(house: House, instance: dg.DagsterInstance) -> None:
    publish_the_night(house, date(2026, 2, 26))
    assert AS_OF_FROM_TAG not in requested("fast", house, instance).tags
    assert AS_OF_FROM_TAG not in requested("scores", house, instance).tags


def test_every_schedule_ticks_in_the_business_time_zone_and_is_on() -> None:
    assert set(SCHEDULES) == set(CRON)
    for schedule in SCHEDULES.values():
        assert schedule.execution_timezone == ZONE
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_today_is_a_partition() -> None:
    partitions = daily_partitions(ZONE)
    assert partitions.get_partition_keys(current_time=NOON)[-1] == "2026-03-02"
