"""A day's backlog in a minute: authentic events at a steady rate while another process writes the lake.

    python -m tests.reliability.burst --seed 7 --events 3000 --seconds 60

Each event is due at its own instant, whatever became of the one before. Its time runs from that instant to the
acknowledgement, so a receiver that falls behind shows it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from app.mock_rails.announcements import Message, message_of
from app.mock_rails.by_hand import a_session
from app.mock_rails.webhooks import signed_headers
from assets.ingest.messages import take_messages
from data.clock import business_date
from data.lake.intake import Arrival, take_in
from data.lake.writer import open_writer
from data.landing import WEBHOOK_SOURCE
from data.operations.tables import AlertEpisode
from data.secrets import webhook_secrets
from data.settings import PROJECT_ROOT, Settings
from tests.reliability.day import NOON
from tests.reliability.deployment import Deployment
from tests.reliability.record import Verdict, add_keep_option, conclude

BATCH = 500
"""Sessions that the other process writes at once, again and again."""
SENDERS = 32
"""Connections of the marketplace. An event that is due while all of them wait counts from when it was due."""
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Answer:
    """What came of one event: its status, and the seconds from when it was due to the answer."""

    status: int
    seconds: float


def events(*, seed: int, count: int) -> list[Message]:
    """Return authentic events, each about a session of its own; some of them break a rule."""
    chance = random.Random(seed)
    kinds = ["ok"] * 17 + ["tutor_no_show", "tutor_late", "early_end"]
    return [
        message_of(
            "session.completed",
            a_session(
                chance.choice(kinds),
                session_id=f"ses_{number}",
                tutor_id=f"t{number % 100}",
                student_id=f"c{number % 400}",
                now=NOON - timedelta(minutes=number % 60),
            ),
            NOON,
        )
        for number in range(count)
    ]


def write_lake(settings: Settings, *, stop: Path) -> None:
    """Take batches of sessions in, one after the other, until the stop file is there. Prints how many."""
    batches = 0
    with open_writer(settings) as lake:
        while not stop.exists():
            arrival = Arrival("rails.pull", NOON, business_date(NOON, settings.business_time_zone))
            take_in(
                lake, "sessions", [_written(batches * BATCH + number) for number in range(BATCH)], arrival
            )
            batches += 1
            print(batches, flush=True)


def _written(number: int) -> dict[str, Any]:
    return a_session("ok", session_id=f"old_{number}", tutor_id="t1", student_id="c1", now=NOON)


@contextmanager
def lake_being_written(deployment: Deployment) -> Iterator[Callable[[], int]]:
    """Let another process write the lake for the length of a block. Gives how many batches it has written."""
    stop, log = (deployment.state.parent / f"writer.{what}" for what in ("stop", "log"))
    command = [
        sys.executable, "-m", "tests.reliability.burst", "--write", str(deployment.state), "--stop", str(stop)
    ]  # fmt: skip
    with log.open("w") as output:
        writer = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env=deployment.environment(), stdout=output, stderr=subprocess.STDOUT
        )

    def written() -> int:
        assert writer.poll() in (None, 0), log.read_text()[-2_000:]
        return log.read_text().count("\n")

    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not written():
            assert time.monotonic() < deadline, "the writer did not begin"
            time.sleep(0.05)
        yield written
        stop.touch()
        assert writer.wait(PATIENCE_SECONDS) == 0, log.read_text()[-2_000:]
    finally:
        writer.kill()
        writer.wait()


def send(url: str, secret: str, messages: list[Message], *, seconds: float) -> list[Answer]:
    """Send each event when it is due, spread evenly over the time, and return what came of each."""
    # Made before the first event is due: a client reads the machine's certificates, which takes longer than an answer.
    limits = httpx.Limits(max_connections=SENDERS, max_keepalive_connections=SENDERS)
    with (
        httpx.Client(timeout=30, trust_env=False, limits=limits) as client,
        ThreadPoolExecutor(SENDERS) as senders,
    ):
        began = time.perf_counter()
        step = seconds / len(messages)

        def one(number: int) -> Answer:
            due = began + number * step
            time.sleep(max(0.0, due - time.perf_counter()))
            message = messages[number]
            headers = signed_headers(message, secret=secret, sent_at=datetime.now(UTC))
            try:
                status = client.post(url, content=message.body, headers=headers).status_code
            except httpx.HTTPError:
                status = 0
            return Answer(status, time.perf_counter() - due)

        return list(senders.map(one, range(len(messages))))


def run(folder: Path, *, seed: int, count: int, seconds: float, say: Callable[[str], None]) -> Verdict:
    """Send a burst to a receiver in a state below a folder while its lake is written, then take everything in."""
    deployment = Deployment.create(folder / "state", NOON)
    messages = events(seed=seed, count=count)
    operations = deployment.operations
    try:
        secret = webhook_secrets(deployment.settings)[0]
        with deployment.receiver() as url, lake_being_written(deployment) as written:
            before = written()
            answers = send(url, secret, messages, seconds=seconds)
        # The batch that was being written when the last answer came is one of them.
        batches = written() - before
        # The receiver has ended, and judged what was in line before it did.
        with operations.session() as session:
            flags = session.scalar(sa.select(sa.func.count()).select_from(AlertEpisode)) or 0
        stored = deployment.landing.waiting()
        with open_writer(deployment.settings) as lake:
            account = take_messages(lake, deployment.landing, deployment.settings, clock=deployment.clock)
            known = lake.read(
                "select count(distinct session_id) as n from lake.raw_marketplace.sessions where source = $source",
                {"source": WEBHOOK_SOURCE},
            ).item()
    finally:
        deployment.let_go()
    statuses = Counter(answer.status for answer in answers)
    taken = min(statuses[202], len(stored), account.total("loaded"), known)
    p50, p99 = (_percentile([answer.seconds for answer in answers], share) for share in (0.50, 0.99))
    say(
        f"answers: {dict(statuses)}; stored {len(stored):,}; loaded {account.total('loaded'):,}; flagged {flags:,}"
    )
    say(
        f"acknowledged in {1000 * p50:.0f} ms at p50, {1000 * p99:.0f} ms at p99; {batches} batches written meanwhile"
    )
    return Verdict(
        name="burst",
        title="A burst of events while the lake is written",
        command=f"python -m tests.reliability.burst --seed {seed} --events {count} --seconds {seconds:g}",
        held=taken if batches else 0,
        tried=count,
        lines=[
            f"{count:,} authentic events in {seconds:g} s, {batches} batches of {BATCH} sessions written to the lake "
            f"by another process meanwhile: {len(stored):,} stored, {count - statuses[202]} refused, "
            f"{account.total('loaded'):,} taken into the lake, {flags:,} flags raised at once. "
            f"Acknowledged in {1000 * p50:.0f} ms at p50 and {1000 * p99:.0f} ms at p99.",
        ],
    )


def _percentile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(100 * share) - 1]


def main() -> int:
    """Send a burst. Returns 1 if an event was refused or is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.burst", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--events", type=int, default=3_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    add_keep_option(parser)
    for name in ("--write", "--stop"):
        parser.add_argument(name, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write is not None:
        write_lake(Settings(state=arguments.write), stop=arguments.stop)
        return 0
    folder = Path(tempfile.mkdtemp(prefix="chalk-burst-"))
    folder.chmod(0o755)
    try:
        verdict = run(
            folder,
            seed=arguments.seed,
            count=arguments.events,
            seconds=arguments.seconds,
            say=lambda line: print(line, flush=True),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return conclude(verdict, keep=arguments.keep)


if __name__ == "__main__":
    raise SystemExit(main())
