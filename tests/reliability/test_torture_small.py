"""A lane that is killed at a random moment and run again leaves what an undisturbed one leaves.

One kill proves that the bench works; the moments are `make torture`, and every failpoint is tested beside it.
"""

import contextlib
import json
import shutil
import time
from pathlib import Path

import polars as pl
import psutil
import pytest

from assets.transform import prepare_manifest
from tests.reliability.day import copy_of_the_day, room
from tests.reliability.deployment import PATIENCE_SECONDS, Deployment, kill_group
from tests.reliability.digests import digest, digests
from tests.reliability.torture import torture

pytestmark = [pytest.mark.reliability, pytest.mark.slow]

KILLS = 1
GONE_WITHIN_SECONDS = 15.0


def test_a_killed_lane_that_runs_again_leaves_what_an_undisturbed_one_leaves(day: Deployment) -> None:
    folder = room() / "torture"
    folder.mkdir()
    folder.chmod(0o755)
    try:
        results = torture(folder, seed=11, kills=KILLS, lane="fast", say=print, day=day)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert [result.wrong for result in results] == [()] * KILLS


def test_a_manifest_that_a_killed_dbt_left_half_written_is_not_what_the_next_lane_reads(
    day: Deployment,
) -> None:
    with copy_of_the_day("half-written") as copy:
        written_by_dbt = copy.state / "dbt" / "manifest.json"
        written_by_dbt.write_text(written_by_dbt.read_text()[:1000])
        manifest = json.loads(prepare_manifest(copy.settings).read_text())
    assert "model.chalkline.fct_sessions" in manifest["nodes"]


def test_a_worker_that_dies_alone_takes_its_dbt_with_it(day: Deployment) -> None:
    with copy_of_the_day("orphan") as copy:
        copy.let_go()
        with copy.marketplace():
            worker = copy.start("run", "fast")
            try:
                dbt = _dbt_at_work(worker.pid, copy.state / "dbt" / "dbt.log")
                worker.kill()
                worker.wait()
                # Without it, dbt would go on writing beside the next run, which is free to begin.
                dbt.wait(GONE_WITHIN_SECONDS)
            finally:
                kill_group(worker)


def _dbt_at_work(worker: int, log: Path) -> psutil.Process:
    """Return the dbt process of a worker as soon as it builds a model."""
    known = log.stat().st_size if log.exists() else 0
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        written = log.read_bytes() if log.exists() else b""
        if b'"name": "LogStartLine"' in written[known if len(written) >= known else 0 :]:
            for child in psutil.Process(worker).children():
                with contextlib.suppress(psutil.Error):
                    if "build" in child.cmdline():
                        return child
        time.sleep(0.05)
    raise AssertionError("dbt did not begin to build")


def rows(*values: float) -> str:
    listed = ", ".join(f"({value!r}::double)" for value in values)
    return f"(values {listed}) as t(measure)"


@pytest.mark.parametrize(
    ("left", "right", "is_equal"),
    [
        ((1.0, 2.0), (2.0, 1.0), True),
        ((0.1 + 0.2,), (0.3,), True),
        ((-0.0,), (0.0,), True),
        ((1.0, 2.0), (1.0, 2.0, 2.0), False),
        ((1.0, 1.0, 2.0, 2.0), (3.0, 3.0, 4.0, 4.0), False),
        ((1.00000001,), (1.0,), False),
    ],
)
def test_a_digest_tells_tables_apart_by_their_rows_alone(
    left: tuple[float, ...], right: tuple[float, ...], is_equal: bool
) -> None:
    import duckdb

    with duckdb.connect() as connection:

        def query(sql: str) -> pl.DataFrame:
            return connection.execute(sql).pl()

        columns = [("measure", "DOUBLE")]
        assert (digest(query, rows(*left), columns) == digest(query, rows(*right), columns)) is is_equal


def test_digests_cover_every_layer_that_a_lane_writes(day: Deployment) -> None:
    with day.reader(personal=True) as reader:
        found = digests(reader.query)
    day.let_go()
    schemas = {name.split(".")[0] for name in found}
    assert schemas == {
        "core",
        "features",
        "intermediate",
        "marts",
        "ml",
        "pii",
        "raw_marketplace",
        "rulebook",
    }
    assert all(
        int(found[name].split(" ")[0]) > 0
        for name in ("core.fct_sessions", "pii.customers", "marts.rpt_rulebook")
    )
