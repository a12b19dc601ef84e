"""Reads published versions without pause while backfills write: nobody may ever see half a run.

    python -m tests.reliability.readers --seconds 120

Readers are processes of their own. Each asks which version is current, opens it, and looks at all marts in it; what
they saw is compared afterwards: one version must have shown the same to every reader at every time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from data.lake.reader import LakeReader
from data.operations import publications
from data.operations.store import open_operations
from data.postgres import open_postgres
from data.settings import PROJECT_ROOT, Settings
from tests.reliability.day import NEXT_NOON, NOON, SEED
from tests.reliability.deployment import PATIENCE_SECONDS, Deployment
from tests.reliability.digests import digest, relations

BACKFILL_DAYS = 5
OF_EACH_DAY = (
    "marts.fct_customer_scores",
    "marts.fct_daily_kpis",
    "marts.fct_tutor_scores",
    "marts.rpt_customer_overview",
    "marts.rpt_source_freshness",
    "marts.rpt_tutor_overview",
)
"""Marts that have rows for every day that a run builds, so that their last day is the run's."""


@dataclass(frozen=True)
class Sight:
    """What one reader saw when it looked once: of every mart its digest and its last day."""

    reader: int
    version: int
    as_of_date: str
    digests: dict[str, str]
    last_days: dict[str, str]


@dataclass(frozen=True)
class Findings:
    """What all readers saw, and what was wrong with it."""

    sights: int
    versions: int
    wrong: tuple[str, ...]


def watch(settings: Settings, *, stop: Path, number: int) -> None:
    """Look at the current version again and again until the stop file is there. Prints one JSON line per look."""
    os.nice(10)  # readers never pause, and would else take the cores from the backfill
    operations = open_operations(open_postgres(settings))
    is_last = False
    while not is_last:
        is_last = stop.exists()
        with operations.session() as session:
            row = publications.current(session)
            assert row is not None
            version, snapshot, day = row.publication_id, row.lake_snapshot_id, row.as_of_date
        reader = LakeReader(settings, snapshot_id=snapshot)
        try:
            seen = _look(reader)
        finally:
            reader.close()
        print(json.dumps({"reader": number, "version": version, "as_of_date": str(day), **seen}), flush=True)


def _look(reader: LakeReader) -> dict[str, Any]:
    marts = {name: columns for name, columns in relations(reader.query).items() if name.startswith("marts.")}
    last_days = {}
    for name, columns in marts.items():
        if any(column == "as_of_date" for column, _ in columns):
            last_days[name] = str(reader.query(f"select max(as_of_date) from {name}").item())
    digests = {name: digest(reader.query, name, columns) for name, columns in marts.items()}
    return {"digests": digests, "last_days": last_days}


class Watchers:
    """Reader processes around a deployment."""

    def __init__(self, deployment: Deployment, *, count: int) -> None:
        self._stop = deployment.state.parent / f"{deployment.state.name}-stop"
        self._stop.unlink(missing_ok=True)
        self._files = [self._stop.with_name(f"{self._stop.name}-{number}.jsonl") for number in range(count)]
        self._processes = []
        for number, file in enumerate(self._files):
            command = [
                sys.executable, "-m", "tests.reliability.readers", "--watch", str(number),
                "--state", str(deployment.state), "--stop", str(self._stop),
            ]  # fmt: skip
            with file.open("w") as out, file.with_suffix(".err").open("w") as err:
                self._processes.append(
                    subprocess.Popen(
                        command, cwd=PROJECT_ROOT, env=deployment.environment(), stdout=out, stderr=err
                    )
                )

    def wait_for_first_look(self) -> None:
        """Return when every reader has looked once. Raises AssertionError if one ends before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(file.read_text().count("\n") for file in self._files):
            assert all(process.poll() is None for process in self._processes), self._errors()
            assert time.monotonic() < deadline, "the readers did not come up"
            time.sleep(0.1)

    def end(self) -> list[Sight]:
        """Let every reader look once more, then return all they saw. Raises AssertionError if one failed."""
        self._stop.touch()
        codes = [process.wait(PATIENCE_SECONDS) for process in self._processes]
        assert not any(codes), self._errors()
        return [Sight(**json.loads(line)) for file in self._files for line in file.read_text().splitlines()]

    def kill(self) -> None:
        """End readers that are still there."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _errors(self) -> str:
        return "\n".join(file.with_suffix(".err").read_text()[-2_000:] for file in self._files)


def judge(sights: Sequence[Sight]) -> Findings:
    """Return what is wrong with what the readers saw."""
    wrong = []
    by_version: dict[int, list[Sight]] = defaultdict(list)
    last_version: dict[int, int] = {}
    for sight in sights:
        if sight.version < last_version.get(sight.reader, 0):
            wrong.append(f"reader {sight.reader} went back to version {sight.version}")
        last_version[sight.reader] = sight.version
        by_version[sight.version].append(sight)
        for mart, day in sight.last_days.items():
            if day != "None" and (
                day > sight.as_of_date or (mart in OF_EACH_DAY and day != sight.as_of_date)
            ):
                wrong.append(f"version {sight.version} of {sight.as_of_date} shows {mart} of {day}")
    for version, same in by_version.items():
        for mart in same[0].digests:
            shown = {sight.digests.get(mart) for sight in same}
            if len(shown) > 1:
                wrong.append(f"version {version} showed {mart} in {len(shown)} ways")
    return Findings(len(sights), len(by_version), tuple(dict.fromkeys(wrong)))


def backfill(deployment: Deployment) -> None:
    """Build the last days again, the deployment's today included, in one run."""
    first = deployment.today - timedelta(days=BACKFILL_DAYS)
    deployment.chalkline("backfill", first.isoformat(), deployment.today.isoformat())


def readers_during_backfill(
    deployment: Deployment, *, readers: int, seconds: float, say: Callable[[str], None]
) -> Findings:
    """Let readers look while backfills write, at least one, until the time is up. Each ends a day later."""
    watchers = Watchers(deployment, count=readers)
    try:
        watchers.wait_for_first_look()
        began = time.monotonic()
        while True:
            backfill(deployment)
            say(f"{time.monotonic() - began:6.1f} s  backfill up to {deployment.today} published")
            if time.monotonic() - began >= seconds:
                break
            deployment = deployment.at(deployment.now + timedelta(days=1))
        return judge(watchers.end())
    finally:
        watchers.kill()


def main() -> int:
    """Watch a deployment, or build one and watch it for some time. Returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.readers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--readers", type=int, default=3)
    for name in ("--watch", "--state", "--stop"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watch is not None:
        settings = Settings(state=Path(arguments.state))
        watch(settings, stop=Path(arguments.stop), number=int(arguments.watch))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="chalk-readers-"))
    folder.chmod(0o755)
    deployment = Deployment.create(folder / "state", NOON)
    try:
        deployment.chalkline("day", "--source", "world", "--profile", "tiny", "--seed", str(SEED))
        findings = readers_during_backfill(
            deployment.at(NEXT_NOON),
            readers=arguments.readers,
            seconds=arguments.seconds,
            say=lambda line: print(line, flush=True),
        )
    finally:
        deployment.let_go()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{findings.sights} looks at {findings.versions} versions by {arguments.readers} readers")
    for line in findings.wrong:
        print(f"wrong: {line}")
    print("no reader saw half a run" if not findings.wrong else "readers saw half a run")
    return 1 if findings.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
