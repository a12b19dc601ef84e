"""What starts or reports by itself: messages that wait, critical alerts, decisions about the quarantine, failures.

A sensor decides and requests; it does no work of a lane. Telling people of failures is the exception: a mail about
a failed run must not need a run.
"""

from dataclasses import dataclass

import dagster as dg
import psutil
from dagster import DagsterEventType, DagsterRunStatus

from assets.act.failures import report_failure
from assets.act.mails import unannounced_episodes
from assets.resources import House
from data.operations import outbox
from data.operations.corrections import waiting_replays
from orchestration.jobs import is_under_way

RUNNING = dg.DefaultSensorStatus.RUNNING
LONGEST_CAUSE = 2_000


# Once a minute: at 3,000 sessions a day a message comes every 30 s, and the lane would never rest. What is urgent in
# a message does not wait for it: the receiver has judged it already.
@dg.sensor(job_name="fast", minimum_interval_seconds=60, default_status=RUNNING)
def on_landed_messages(
    context: dg.SensorEvaluationContext, house: dg.ResourceParam[House]
) -> dg.RunRequest | dg.SkipReason:
    """Start the fast lane when webhook messages wait. No run key: a failed run must not hide its messages."""
    waiting = house.landing.waiting()
    if not waiting:
        return dg.SkipReason("no messages wait")
    if is_under_way(context.instance, "fast"):
        return dg.SkipReason("the fast lane is already under way")
    return dg.RunRequest(
        partition_key=house.today().isoformat(), tags={"chalkline/messages": str(len(waiting))}
    )


@dg.sensor(job_name="announce", minimum_interval_seconds=15, default_status=RUNNING)
def on_new_episodes(
    context: dg.SensorEvaluationContext, house: dg.ResourceParam[House]
) -> dg.RunRequest | dg.SkipReason:
    """Start the mails when an episode is open that its people have not been told of."""
    with house.operations.session() as session:
        plan = unannounced_episodes(session, house.settings, now=house.clock.now())
        count = len(plan.deliveries) + outbox.count_due(session, now=house.clock.now())
    if not count:
        return dg.SkipReason("everybody has been told")
    if is_under_way(context.instance, "announce"):
        return dg.SkipReason("mails are already under way")
    return dg.RunRequest(tags={"chalkline/mails": str(count)})


@dg.sensor(job_name="replay", minimum_interval_seconds=30, default_status=RUNNING)
def on_replay_requests(
    context: dg.SensorEvaluationContext, house: dg.ResourceParam[House]
) -> dg.RunRequest | dg.SkipReason:
    """Start the replay when somebody decided about the quarantine. No run key: a failed run must not hide a wish."""
    with house.operations.session() as session:
        count = len(waiting_replays(session))
    if not count:
        return dg.SkipReason("nobody asked for anything")
    if is_under_way(context.instance, "replay"):
        return dg.SkipReason("a replay is already under way")
    return dg.RunRequest(tags={"chalkline/requests": str(count)})


@dg.run_failure_sensor(
    minimum_interval_seconds=30, default_status=RUNNING, monitored_jobs=None, monitor_all_code_locations=False
)
def on_failed_run(context: dg.RunFailureSensorContext, house: dg.ResourceParam[House]) -> None:
    """Mail the engineers of a failed lane, with the cause: once a day per lane and cause, however often it retries."""
    run, cause = context.dagster_run, _cause(context)
    report_failure(
        house,
        key=f"run:{house.today()}:{run.job_name}:{cause}",
        what=f"Lane {run.job_name} failed",
        cause=cause,
        where=f"run {run.run_id[:8]} in the Dagster UI",
    )


def _cause(context: dg.RunFailureSensorContext) -> str:
    """Return what the first failed step says, down to the error that began it."""
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            return f"{event.step_key}: {error.message.strip()}"[:LONGEST_CAUSE]
    return (context.failure_event.message or "no cause was recorded")[:LONGEST_CAUSE]


@dg.sensor(minimum_interval_seconds=30, default_status=RUNNING)
def on_failed_check(
    context: dg.SensorEvaluationContext, house: dg.ResourceParam[House]
) -> dg.SensorResult | dg.SkipReason:
    """Mail the engineers of each failed check, once a day: it does not fail its run, so nothing else would tell."""
    cursor = int(context.cursor) if context.cursor else _newest_event(context.instance)
    records = context.instance.get_event_records(
        dg.EventRecordsFilter(DagsterEventType.ASSET_CHECK_EVALUATION, after_cursor=cursor),
        limit=500,
        ascending=True,
    )
    for record in records:
        event = record.event_log_entry.dagster_event
        evaluation = event.asset_check_evaluation_data if event else None
        if evaluation is None or evaluation.passed:
            continue
        asset = evaluation.asset_key.to_user_string()
        report_failure(
            house,
            key=f"check:{house.today()}:{asset}:{evaluation.check_name}",
            what=f"Check {evaluation.check_name} of {asset} failed",
            cause=_finding(evaluation),
            where=f"run {record.run_id[:8]} in the Dagster UI",
        )
    last = records[-1].storage_id if records else cursor
    return dg.SensorResult(cursor=str(last))


def _finding(evaluation: dg.AssetCheckEvaluation) -> str:
    """Return what a check says of itself, or where to look if it says nothing."""
    found = evaluation.description or "the rows are named in the check's metadata"
    return f"severity {evaluation.severity.value.lower()}; {found}"[:LONGEST_CAUSE]


def _newest_event(instance: dg.DagsterInstance) -> int:
    newest = instance.get_event_records(
        dg.EventRecordsFilter(DagsterEventType.ASSET_CHECK_EVALUATION), limit=1, ascending=False
    )
    return newest[0].storage_id if newest else 0


@dg.sensor(minimum_interval_seconds=30, default_status=RUNNING)
def on_dead_worker(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Report a run as failed when its worker is gone, so that its slot is freed and a retry can start.

    Dagster's own monitor does not see the death of a local worker.
    """
    freed = []
    for run in context.instance.get_runs(dg.RunsFilter(statuses=[DagsterRunStatus.STARTED])):
        worker = worker_of(context.instance, run.run_id)
        if worker is not None and not worker.is_there():
            context.instance.report_run_failed(
                run, f"its worker (process {worker.pid}) is gone; the run is freed"
            )
            freed.append(run.run_id)
    return dg.SkipReason(f"freed {len(freed)} runs" if freed else "no worker is gone")


@dataclass(frozen=True)
class Worker:
    """The process that works on a run, and when it said so."""

    pid: int
    seen_at: float

    def is_there(self) -> bool:
        """Tell whether the process lives: not dead and uncollected, and not another one that got its number."""
        try:
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= self.seen_at + 1
        except psutil.NoSuchProcess:
            return False


def worker_of(instance: dg.DagsterInstance, run_id: str) -> Worker | None:
    """Return the process that works on a run, as the run's own events name it, or None if it said nothing yet."""
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.ENGINE_EVENT).records
    for record in records:
        entry = record.event_log_entry
        event = entry.dagster_event
        value = (event.engine_event_data.metadata if event else {}).get("pid")
        if value is not None:
            return Worker(int(str(value.value)), entry.timestamp)
    return None


SENSORS = [
    on_landed_messages,
    on_new_episodes,
    on_replay_requests,
    on_failed_run,
    on_failed_check,
    on_dead_worker,
]
