"""Runs a lane in this process, recorded in Dagster like any other run. Used by the command line and by a day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from assets.days import AS_OF_FROM_TAG
from orchestration.environment import keep_connection
from orchestration.jobs import LANES, Lane

if TYPE_CHECKING:
    import dagster as dg

    from assets.resources import House

PARTITIONED: tuple[Lane, ...] = ("fast", "scores", "nightly")


class LaneFailed(RuntimeError):
    """A lane did not end well; the message names the lane, the step and the cause."""


@dataclass(frozen=True)
class LaneRun:
    """How a lane ended."""

    lane: Lane
    run_id: str
    materialized: int
    failed_checks: tuple[str, ...]


class LaneRunner:
    """Definitions built once, when the first lane needs them; lanes run many times."""

    def __init__(self, house: House) -> None:
        self._house = house

    @cached_property
    def _instance(self) -> dg.DagsterInstance:
        import dagster as dg

        instance = dg.DagsterInstance.get()
        keep_connection(instance)
        return instance

    @cached_property
    def _definitions(self) -> dg.Definitions:
        from orchestration.build import build_definitions

        return build_definitions(self._house)

    def run(
        self, lane: Lane, *, first: date | None = None, last: date | None = None, full_refresh: bool = False
    ) -> LaneRun:
        """Run a lane for one business day, or for a range of days in one run. Raises LaneFailed."""
        if lane not in LANES:
            raise LaneFailed(f"there is no lane {lane!r}; choose one of {', '.join(LANES)}")
        last = last or self._house.today()
        if first is not None and first > last:
            raise LaneFailed(f"the first day, {first}, is after the last one, {last}")
        tags, key = _partition_of(lane, first or last, last)
        if full_refresh:
            tags["chalkline/full_refresh"] = "yes"
        definitions, instance = self._definitions, self._instance
        with self._log():
            result = definitions.resolve_job_def(lane).execute_in_process(
                instance=instance,
                partition_key=key,
                tags=tags,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
            )
        if not result.success:
            raise LaneFailed(_cause(lane, result))
        evaluations = result.get_asset_check_evaluations()
        failed = tuple(
            sorted(
                f"{check.asset_key.to_user_string()}: {check.check_name}"
                for check in evaluations
                if not check.passed
            )
        )
        return LaneRun(lane, result.run_id, len(result.get_asset_materialization_events()), failed)

    @contextmanager
    def _log(self) -> Iterator[None]:
        """Send what Dagster and dbt say to a file: whoever runs a lane by hand wants its result."""
        file = self._house.settings.state / "logs" / "lanes.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as log, redirect_stdout(log), redirect_stderr(log):
            yield


def _partition_of(lane: Lane, first: date, last: date) -> tuple[dict[str, str], str | None]:
    if lane not in PARTITIONED:
        return {}, None
    tags = {AS_OF_FROM_TAG: first.isoformat()} if first < last else {}
    return tags, last.isoformat()


def _cause(lane: Lane, result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            text = error.message.strip() if error else "unknown cause"
            return (
                f"lane {lane} failed in {event.step_key}: {text}; more in logs/lanes.log of the state folder"
            )
    return f"lane {lane} failed; see run {result.run_id} in the Dagster UI"
