"""The bench runs and prints ratios. How large they are is for `make bench`, never for a test."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.measure import Figure, in_turns
from bench.report import keep
from data.clock import FixedClock
from data.settings import PROJECT_ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own folder: that one is closed to the user the embedded server runs as. Nor the state of other
    # tests: some of them read every file of it, and a bench leaves many.
    made = Path(tempfile.mkdtemp(prefix="chalk-bench-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def the_bench(state: Path, *arguments: str) -> tuple[str, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--profile", "tiny"],
        cwd=PROJECT_ROOT,
        env=os.environ | {"CHALKLINE_STATE": str(state), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    return done.stdout, json.loads((state / "bench" / "results.json").read_text())["figures"]


def test_pull_and_aggregates_print_ratios_with_both_medians(folder: Path) -> None:
    printed, figures = the_bench(folder, "pull", "aggregates")
    assert {figure["piece"] for figure in figures} == {"pull", "aggregates"}
    assert all(figure["ratio"] > 0 for figure in figures)
    assert all(len(figure["product_seconds"]) == len(figure["yardstick_seconds"]) >= 3 for figure in figures)
    assert all(f"{figure['ratio']:.2f}" in printed for figure in figures)
    assert figures[0]["machine"].split(",")[0] in printed


def test_both_sides_are_measured_in_turns() -> None:
    order: list[str] = []

    def side(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    ours, theirs = in_turns(lambda: side("a", 2.0), lambda: side("b", 1.0), pairs=3, tell=lambda _: None)
    assert "".join(order) == "ababab"
    assert (ours, theirs) == ([2.0] * 3, [1.0] * 3)


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        in_turns(lambda: 1.0, lambda: 1.0, pairs=2, tell=lambda _: None)


def test_a_slow_moment_of_the_machine_does_not_move_the_ratio() -> None:
    figure = Figure("pull", "pull", "ours", "theirs", [2.0, 20.0, 2.0], [1.0, 10.0, 1.0])
    assert figure.ratio == pytest.approx(2.0)


def test_a_figure_replaces_the_older_one_of_its_profile_only(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    now = FixedClock(datetime(2026, 3, 4, tzinfo=UTC)).now()
    for profile, seconds in (("tiny", 2.0), ("demo", 3.0), ("tiny", 4.0)):
        figure = Figure("pull", "pull", "ours", "theirs", [seconds] * 3, [1.0] * 3)
        keep([figure], file=tmp_path / "results.json", profile=profile, machine="here", measured_at=now)
    kept = json.loads((tmp_path / "results.json").read_text())["figures"]
    assert [(row["profile"], row["ratio"]) for row in kept] == [("demo", 3.0), ("tiny", 4.0)]
