"""What the steps of a run share: one attached lake, and the connections to Dagster's database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from sqlalchemy.pool import Pool

from assets.resources import House
from data.clock import FixedClock
from data.lake.writer import LakeWriter
from data.settings import Settings
from orchestration import build
from orchestration.build import of_a_run
from tests.orchestration.conftest import NOON


@contextmanager
def counted_connections() -> Iterator[list[Any]]:
    made: list[Any] = []

    def count(connection: Any, _: Any) -> None:
        made.append(connection)

    sa.event.listen(Pool, "connect", count)
    try:
        yield made
    finally:
        sa.event.remove(Pool, "connect", count)


@dg.asset
def told(house: dg.ResourceParam[House]) -> dg.MaterializeResult:
    with house.lake() as lake:
        return dg.MaterializeResult(metadata={"snapshot": lake.snapshot_id()})


@dg.asset(deps=[told])
def told_again(house: dg.ResourceParam[House]) -> dg.MaterializeResult:
    with house.lake() as lake:
        return dg.MaterializeResult(metadata={"snapshot": lake.snapshot_id()})


def test_the_lake_is_attached_once_in_a_run_and_let_go_at_its_end(
    lake: LakeWriter,
    state_settings: Settings,
    instance: dg.DagsterInstance,
    attached: list[LakeWriter],
) -> None:
    house = House(state_settings, FixedClock(NOON))
    # An instance of its own: what it keeps is not kept by other tests.
    ours = dg.DagsterInstance.from_ref(instance.get_ref())
    done = dg.materialize([told, told_again], instance=ours, resources={"house": of_a_run(house)})
    assert done.success
    assert len(attached) == 1
    assert not attached[0].answers()


def test_a_run_writes_its_events_over_connections_that_it_keeps(
    state_settings: Settings, lake: LakeWriter, instance: dg.DagsterInstance
) -> None:
    @dg.asset
    def talkative(context: dg.AssetExecutionContext, house: dg.ResourceParam[House]) -> None:
        for number in range(100):
            context.log_event(dg.AssetObservation("told", metadata={"number": number}))

    ours = dg.DagsterInstance.from_ref(instance.get_ref())
    house = House(state_settings, FixedClock(NOON))
    with counted_connections() as made:
        done = dg.materialize([talkative], instance=ours, resources={"house": of_a_run(house)})
    assert done.success
    assert len(made) < 100, "Dagster opens some for each event"


def test_a_sensor_that_asks_for_the_house_keeps_nothing(
    state_settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.sensor(job_name="fast")
    def asking(context: dg.SensorEvaluationContext, house: dg.ResourceParam[House]) -> dg.SkipReason:
        return dg.SkipReason(str(house.today()))

    kept: list[dg.DagsterInstance] = []
    monkeypatch.setattr(build, "keep_connection", kept.append)
    house = House(state_settings, FixedClock(NOON))
    with dg.build_sensor_context(instance=instance, resources={"house": of_a_run(house)}) as context:
        asking(context)
    assert not kept
