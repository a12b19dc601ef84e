"""A process that lives in one state: its own Dagster home, its own dbt, definitions kept warm.

Two states in one process would share environment variables, so each gets a process. Orders come as one line of
JSON each on standard input; the answer is one line on standard output.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from bench.states import Progress, State, clock_of, ensure_history, ensure_world, first_day
from data.settings import PROJECT_ROOT


class Worker:
    """The other end of the line. Starts the process, gives orders, waits for answers."""

    def __init__(self, state: State, *, port: int = 0) -> None:
        self.state = state
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", str(state.root), state.name, str(port)],
            cwd=PROJECT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def ask(self, **order: str) -> dict[str, Any]:
        """Give one order and return its answer. Raises RuntimeError with the cause if it failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"the process of state {self.state.name} ended; its folder is {self.state.folder}"
            )
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise RuntimeError(f"state {self.state.name}: {answer['failed']}")
        return answer


def prepare(state: State) -> dict[str, Any]:
    """Build a state up to its first night in a process of its own. What is done already is not done again."""
    with Worker(state) as worker:
        return worker.ask(do="prepare")


class Resident:
    """What happens inside the process."""

    def __init__(self, state: State, port: int) -> None:
        from orchestration.environment import prepare_environment

        self.state = state
        self.progress = Progress(state.folder)
        state.folder.mkdir(parents=True, exist_ok=True)
        self.clock = clock_of(state)
        self.settings = state.settings(port=port)
        prepare_environment(self.settings)
        self._runner: Any = None

    def house(self) -> Any:
        from assets.resources import House

        return House(self.settings, self.clock)

    def runner(self) -> Any:
        from orchestration.lanes import LaneRunner

        if self._runner is None:
            self._runner = LaneRunner(self.house())
        return self._runner

    def prepare(self) -> dict[str, Any]:
        """Bring world, history and the night of the current business day in place."""
        house, done = self.house(), self.progress.read()
        console = Console(stderr=True)
        if "history" not in done:
            ensure_world(self.state)
            ensure_history(self.state, house, console)
        today = house.today().isoformat()
        if done.get("night") != today:
            self.runner().run("nightly", first=first_day(house))
            self.progress.note(night=today, first=first_day(house).isoformat())
        return self.progress.read()

    def fast(self, at: datetime) -> dict[str, Any]:
        """Run the fast lane at an instant and say where its time went."""
        self.clock.instant = at
        self.progress.note(now=at.isoformat())
        runner = self.runner()
        started = time.perf_counter()
        run = runner.run("fast")
        seconds = time.perf_counter() - started
        return {
            "seconds": seconds,
            "failed_checks": list(run.failed_checks),
            "news": self._news(at),
            **where_time_went(run.run_id, self.settings.state / "dbt", seconds),
        }

    def _news(self, at: datetime) -> dict[str, int]:
        with self.house().lake() as lake:
            rows = lake.read(
                "select kind, sum(read_count)::bigint as read, sum(loaded_count)::bigint as loaded "
                "from lake.raw_quality.ingestion_batches where finished_at = $at group by kind order by kind",
                {"at": at.replace(tzinfo=None)},
            )
        return {f"{row['kind']} {name}": row[name] for row in rows.to_dicts() for name in ("read", "loaded")}


def where_time_went(run_id: str, target: Path, seconds: float) -> dict[str, Any]:
    """Return the seconds of each Dagster step, and inside dbt those of its start, models, tests and end."""
    import dagster as dg

    steps: dict[str, float] = {}
    dbt_span: tuple[float, float] | None = None
    for step in dg.DagsterInstance.get().get_run_step_stats(run_id):
        if step.start_time is None or step.end_time is None:
            continue
        if step.step_key == "warehouse":
            dbt_span = (step.start_time, step.end_time)
        else:
            steps[step.step_key] = step.end_time - step.start_time
    if dbt_span is None:
        raise RuntimeError(f"run {run_id} has no dbt step")
    dbt, models = dbt_times(target, started=dbt_span[0], ended=dbt_span[1])
    outside = seconds - sum(steps.values()) - sum(dbt.values())
    return {"steps": steps, "dbt": dbt, "models": models, "between steps": outside}


def dbt_times(target: Path, *, started: float, ended: float) -> tuple[dict[str, float], dict[str, float]]:
    """Return the seconds of one dbt invocation by what it did, and those of each node. Times are epoch seconds."""
    results = json.loads((target / "run_results.json").read_text())["results"]
    moments = [
        datetime.fromisoformat(timing[end].replace("Z", "+00:00")).timestamp()
        for result in results
        for timing in result["timing"]
        for end in ("started_at", "completed_at")
    ]
    nodes = {result["unique_id"]: float(result["execution_time"]) for result in results}
    by_kind: dict[str, float] = {}
    for name, taken in nodes.items():
        kind = {"model": "models", "seed": "seeds", "test": "tests"}.get(name.split(".")[0], "other nodes")
        by_kind[kind] = by_kind.get(kind, 0.0) + taken
    span = max(moments) - min(moments)
    spent = {
        "start-up": min(moments) - started,
        **by_kind,
        "between nodes": max(0.0, span - sum(by_kind.values())),
        "end": ended - max(moments),
    }
    return spent, nodes


def serve(resident: Resident, orders: IO[str], answers: IO[str]) -> None:
    """Answer orders until the line is closed."""
    for line in orders:
        order = json.loads(line)
        try:
            if order["do"] == "prepare":
                answer = resident.prepare()
            else:
                answer = resident.fast(datetime.fromisoformat(order["at"]))
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    root, name, port = sys.argv[1:]
    serve(Resident(State(Path(root), name), int(port)), sys.stdin, sys.stdout)
