"""What starts or reports by itself: messages, mails, failed runs and checks, dead workers."""

import os
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import psutil
import pytest
import sqlalchemy as sa
from dagster import DagsterRunStatus
from dagster._core.events import EngineEventData

from assets.resources import House
from data.landing import Drop
from data.operations.observe import Candidate, observe
from data.operations.tables import OutboxRow
from data.rulebook import alert_rules
from orchestration.sensors import (
    Worker,
    on_dead_worker,
    on_failed_check,
    on_failed_run,
    on_landed_messages,
    on_new_episodes,
    worker_of,
)

NOON = datetime.fromisoformat("2026-03-02T17:00:00+00:00")
# A queued run would need the address of a code location; jobs.UNDER_WAY names that status beside these.
STATUSES = ("NOT_STARTED", "STARTING", "STARTED")


def ask(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None = None, **resources: Any
) -> Any:
    return sensor(dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources))


def a_run(instance: dg.DagsterInstance, job_name: str, status: str) -> dg.DagsterRun:
    return instance.add_run(dg.DagsterRun(job_name=job_name, status=DagsterRunStatus(status)))


def told(house: House) -> list[OutboxRow]:
    with house.operations.session() as session:
        query = sa.select(OutboxRow).where(OutboxRow.kind == "system")
        return list(session.scalars(query.order_by(OutboxRow.created_at, OutboxRow.subject)))


@pytest.fixture
def landed(house: House) -> House:
    for place in house.settings.landing_path.rglob("*.json"):
        place.unlink()
    house.landing.store(Drop("m-1", NOON, b"{}"))
    return house


def test_no_waiting_message_starts_nothing(landed: House, instance: dg.DagsterInstance) -> None:
    list(landed.landing.claim())
    landed.landing.finish(["m-1"])
    assert isinstance(ask(on_landed_messages, instance, house=landed), dg.SkipReason)


def test_waiting_messages_start_the_fast_lane_for_the_business_day(
    landed: House, instance: dg.DagsterInstance
) -> None:
    request = ask(on_landed_messages, instance, house=landed)
    assert (request.partition_key, request.tags["chalkline/messages"]) == ("2026-03-02", "1")
    # No key: what failed is asked for again as long as its messages wait.
    assert request.run_key is None


@pytest.mark.parametrize("status", STATUSES)
def test_while_the_fast_lane_is_under_way_messages_wait_for_it(
    landed: House, instance: dg.DagsterInstance, status: str
) -> None:
    a_run(instance, "fast", status)
    assert "under way" in ask(on_landed_messages, instance, house=landed).skip_message


@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE", "CANCELED"])
def test_a_lane_that_ended_is_started_again(landed: House, instance: dg.DagsterInstance, status: str) -> None:
    a_run(instance, "fast", status)
    a_run(instance, "nightly", "STARTED")
    assert isinstance(ask(on_landed_messages, instance, house=landed), dg.RunRequest)


def find_a_no_show(house: House) -> None:
    candidate = Candidate(
        alert_key="tutor_no_show:session:S-1",
        rule_code="tutor_no_show",
        entity_type="session",
        entity_id="S-1",
        severity="critical",
        evidence={},
        occurred_at=NOON,
    )
    with house.operations.session() as session:
        observe(
            session,
            [candidate],
            alert_rules(house.settings),
            as_of_date=house.today(),
            publication_id=None,
            now=house.clock.now(),
            compose=lambda _: (),
            is_partial=True,
        )


def test_an_alert_that_nobody_was_told_of_starts_the_mails(
    house: House, instance: dg.DagsterInstance
) -> None:
    assert ask(on_new_episodes, instance, house=house).skip_message == "everybody has been told"
    find_a_no_show(house)
    assert ask(on_new_episodes, instance, house=house).tags == {"chalkline/mails": "1"}
    a_run(instance, "announce", "STARTED")
    assert "under way" in ask(on_new_episodes, instance, house=house).skip_message


def test_a_mail_that_is_due_starts_the_mails(
    house_at: Callable[[datetime], House], instance: dg.DagsterInstance
) -> None:
    from data.operations import outbox

    house = house_at(NOON)
    mail = outbox.OutboxMessage(
        "k", "digest", "a@example.org", "s", "h", "t", not_before=NOON + timedelta(hours=1)
    )
    with house.operations.session() as session:
        outbox.enqueue(session, mail, now=NOON)
    assert isinstance(ask(on_new_episodes, instance, house=house), dg.SkipReason)
    later = house_at(NOON + timedelta(hours=1))
    assert isinstance(ask(on_new_episodes, instance, house=later), dg.RunRequest)


def checked(instance: dg.DagsterInstance, *, passed: bool) -> dg.ExecuteInProcessResult:
    @dg.asset(key=["marts", "some"])
    def some() -> None: ...

    @dg.asset_check(asset=some, name="is_well")
    def is_well() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN)

    chosen = dg.AssetSelection.all()
    return dg.materialize([some, is_well], selection=chosen, instance=instance)


def test_a_failed_check_that_does_not_fail_its_run_is_told_once(
    house: House, instance: dg.DagsterInstance
) -> None:
    start = ask(on_failed_check, instance, house=house).cursor
    assert checked(instance, passed=False).success
    moved = ask(on_failed_check, instance, cursor=start, house=house).cursor
    assert int(moved) > int(start)
    assert [mail.subject for mail in told(house)] == ["Not working: Check is_well of marts/some failed"]
    # A sensor that was killed before its cursor was kept looks at the same events again.
    assert ask(on_failed_check, instance, cursor=start, house=house).cursor == moved
    assert ask(on_failed_check, instance, cursor=moved, house=house).cursor == moved
    assert len(told(house)) == 1


def test_a_check_that_fails_in_every_run_of_a_day_is_told_once_a_day(
    house_at: Callable[[datetime], House], instance: dg.DagsterInstance
) -> None:
    house, cursor = house_at(NOON), "0"
    for _ in range(3):
        checked(instance, passed=False)
        cursor = ask(on_failed_check, instance, cursor=cursor, house=house).cursor
    assert len(told(house)) == 1
    checked(instance, passed=False)
    ask(on_failed_check, instance, cursor=cursor, house=house_at(NOON + timedelta(days=1)))
    assert len(told(house)) == 2


def test_checks_that_pass_are_not_told(house: House, instance: dg.DagsterInstance) -> None:
    checked(instance, passed=True)
    assert int(ask(on_failed_check, instance, cursor="0", house=house).cursor) > 0
    assert told(house) == []


def test_what_failed_before_the_sensor_first_looked_is_history(
    house: House, instance: dg.DagsterInstance
) -> None:
    checked(instance, passed=False)
    ask(on_failed_check, instance, house=house)
    assert told(house) == []


def fail_a_run(
    instance: dg.DagsterInstance, cause: str, job_name: str = "fast"
) -> dg.RunFailureSensorContext:
    @dg.op
    def break_something() -> None:
        try:
            raise ValueError(cause)
        except ValueError as error:
            raise RuntimeError("the step did not end well") from error

    @dg.job(name=job_name, executor_def=dg.in_process_executor)
    def lane() -> None:
        break_something()

    result = lane.execute_in_process(instance=instance, raise_on_error=False)
    return dg.build_run_status_sensor_context(
        sensor_name="on_failed_run",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_failure_event(),
    ).for_run_failure()


def report(house: House, context: dg.RunFailureSensorContext) -> None:
    on_failed_run(context, house=house)


def test_a_failed_run_is_told_once_with_its_cause(house: House, instance: dg.DagsterInstance) -> None:
    context = fail_a_run(instance, "no rows in the lake")
    report(house, context)
    report(house, context)
    mail = told(house)[0]
    assert len(told(house)) == 1
    assert mail.subject == "Not working: Lane fast failed"
    assert "break_something: ValueError: no rows in the lake" in mail.text
    assert context.dagster_run.run_id[:8] in mail.text


def test_a_lane_that_fails_every_five_minutes_is_told_once_a_day_per_cause(
    house_at: Callable[[datetime], House], instance: dg.DagsterInstance
) -> None:
    for cause in ("full disk", "full disk", "no network"):
        report(house_at(NOON), fail_a_run(instance, cause))
    assert len(told(house_at(NOON))) == 2
    report(house_at(NOON + timedelta(days=1)), fail_a_run(instance, "full disk"))
    report(house_at(NOON), fail_a_run(instance, "full disk", job_name="nightly"))
    assert len(told(house_at(NOON))) == 4


def worked_on(instance: dg.DagsterInstance, pid: int) -> dg.DagsterRun:
    run = a_run(instance, "fast", "STARTED")
    data = EngineEventData(metadata={"pid": dg.MetadataValue.text(str(pid))})
    instance.report_engine_event("Started process for run", run, data)
    return run


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_run_whose_worker_is_gone_is_freed_and_others_are_left(instance: dg.DagsterInstance) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    dead, alive = worked_on(instance, gone.pid), worked_on(instance, os.getpid())
    silent = a_run(instance, "scores", "STARTED")
    assert ask(on_dead_worker, instance).skip_message == "freed 1 runs"
    assert status_of(instance, dead) == DagsterRunStatus.FAILURE
    assert [status_of(instance, run) for run in (alive, silent)] == [DagsterRunStatus.STARTED] * 2
    assert ask(on_dead_worker, instance).skip_message == "no worker is gone"


def test_a_worker_that_died_and_was_not_collected_is_gone(instance: dg.DagsterInstance) -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    run = worked_on(instance, child.pid)
    ask(on_dead_worker, instance)
    child.wait()
    assert status_of(instance, run) == DagsterRunStatus.FAILURE


def test_another_process_that_got_the_number_of_a_dead_worker_is_not_it() -> None:
    begun = psutil.Process().create_time()
    assert Worker(os.getpid(), begun + 60).is_there()
    assert not Worker(os.getpid(), begun - 60).is_there()


def test_a_run_names_its_own_worker(instance: dg.DagsterInstance) -> None:
    context = fail_a_run(instance, "whatever")
    worker = worker_of(instance, context.dagster_run.run_id)
    assert worker is not None
    assert worker.pid == os.getpid()
    assert worker.is_there()
