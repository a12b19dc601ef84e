"""Kills the receiver under load at random moments: what it acknowledged must be there, once and whole.

    python -m tests.reliability.receiver_kills --seed 7 --kills 20

Senders keep what was not acknowledged and send it again to the next receiver, as a marketplace does. Meanwhile a taker
moves messages on, so that kills meet them at every place of the landing.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from app.mock_rails.announcements import Message, message_of
from app.mock_rails.by_hand import a_session
from app.mock_rails.webhooks import signed_headers
from data.landing import Landing
from data.secrets import webhook_secrets
from data.settings import PROJECT_ROOT
from tests.reliability.day import NOON
from tests.reliability.deployment import HOST, Deployment
from tests.reliability.record import Verdict, add_keep_option, conclude

SENDERS = 8
SHORTEST_SECONDS, LONGEST_SECONDS = 0.05, 1.0
"""A receiver that has acknowledged something lives so much longer before it is killed."""
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Acknowledged:
    """A message that was answered 2xx: by which receiver, and what its body was."""

    life: int
    digest: str


@dataclass
class Senders:
    """A marketplace that sends without pause, keeps what was not acknowledged, and writes down what was."""

    url: str
    secret: str
    life: int = 0
    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)
    _unsettled: deque[Message] = field(default_factory=deque)
    _made: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_message(self) -> Message:
        """Return what was not acknowledged yet, else a fresh message about a session of its own."""
        with self._lock:
            if self._unsettled:
                return self._unsettled.popleft()
            number = next(self._made)
        kind = "tutor_no_show" if number % 20 == 0 else "ok"
        record = a_session(kind, session_id=f"ses_{number}", tutor_id="t1", student_id="c1", now=NOON)
        return message_of("session.completed", record, NOON)

    def send(self, client: httpx.Client, message: Message) -> None:
        """Send one message once, and write down what came of it."""
        headers = signed_headers(message, secret=self.secret, sent_at=datetime.now(UTC))
        try:
            status = client.post(self.url, content=message.body, headers=headers).status_code
        except httpx.HTTPError:
            status = 0
        with self._lock:
            if 200 <= status < 300:
                digest = hashlib.sha256(message.body.encode()).hexdigest()
                self.acknowledged.setdefault(message.message_id, Acknowledged(self.life, digest))
                return
            self._unsettled.append(message)
            if status:
                self.refused.append(status)

    def settle(self) -> None:
        """Send again what was not acknowledged until it is."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with httpx.Client(timeout=10, trust_env=False) as client:
            while self._unsettled and time.monotonic() < deadline:
                self.send(client, self._unsettled.popleft())

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send from several threads for the length of a block."""
        stop = threading.Event()

        def work() -> None:
            with httpx.Client(timeout=10, trust_env=False) as client:
                while not stop.is_set():
                    self.send(client, self.next_message())

        threads = [threading.Thread(target=work) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@contextmanager
def taking(landing: Landing) -> Iterator[None]:
    """Move messages on through the landing for the length of a block, as the fast lane does."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            landing.finish([drop.message_id for drop in landing.claim(limit=50)])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def live_and_die(deployment: Deployment, senders: Senders, *, after: float) -> None:
    """Serve under load until something was acknowledged and some time has passed, then kill the receiver."""
    log = deployment.state.parent / "receiver.log"
    known = len(senders.acknowledged)
    with log.open("ab") as output:
        receiver = subprocess.Popen(
            [sys.executable, "-m", "app.receiver"],
            cwd=PROJECT_ROOT,
            env=deployment.environment(),
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(lambda: _is_up(deployment), receiver, log)
        with senders.sending():
            _wait_for(lambda: len(senders.acknowledged) > known, receiver, log)
            time.sleep(after)
            receiver.send_signal(signal.SIGKILL)
            receiver.wait()
    finally:
        receiver.kill()
        receiver.wait()


def _is_up(deployment: Deployment) -> bool:
    with contextlib.suppress(httpx.TransportError):
        up = f"http://{HOST}:{deployment.receiver_port}/up"
        return httpx.get(up, timeout=2, trust_env=False).status_code == 200
    return False


def _wait_for(is_so: Callable[[], bool], receiver: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if receiver.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the receiver is of no use; its last words:\n{log.read_text()[-2_000:]}")
        time.sleep(0.01)


def lost(folder: Path, acknowledged: dict[str, Acknowledged]) -> dict[str, str]:
    """Return for every acknowledged message that is not in the landing once and whole what is wrong with it."""
    places: dict[str, list[Path]] = {}
    for place in folder.rglob("*.json"):
        places.setdefault(place.stem, []).append(place)
    landing, wrong = Landing(folder), {}
    for message_id, known in acknowledged.items():
        found = places.get(message_id, [])
        if len(found) != 1:
            wrong[message_id] = "lost" if not found else f"in {len(found)} places"
            continue
        try:
            drop = landing.find(message_id)
        except ValueError:
            drop = None
        if drop is None or hashlib.sha256(drop.body).hexdigest() != known.digest:
            wrong[message_id] = "not readable as it was sent"
    return wrong


def run(folder: Path, *, seed: int, kills: int, say: Callable[[str], None]) -> Verdict:
    """Kill so many receivers over one landing in a state below a folder, then look for what they acknowledged."""
    chance = random.Random(seed)
    deployment = Deployment.create(folder / "state", NOON)
    _ = deployment.operations  # keeps the embedded server up while receivers come and go
    try:
        secret = webhook_secrets(deployment.settings)[0]
        url = f"http://{HOST}:{deployment.receiver_port}/api/webhooks"
        senders, landing = Senders(url, secret), deployment.landing
        with taking(landing):
            for life in range(kills):
                senders.life = life
                live_and_die(deployment, senders, after=chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS))
                say(f"kill {life + 1:2}: {len(senders.acknowledged):,} acknowledged so far")
            senders.life = kills
            with deployment.receiver():
                senders.settle()
        wrong = lost(deployment.settings.landing_path, senders.acknowledged)
    finally:
        deployment.let_go()
    return _verdict(senders, wrong, seed=seed, kills=kills, say=say)


def _verdict(
    senders: Senders, wrong: dict[str, str], *, seed: int, kills: int, say: Callable[[str], None]
) -> Verdict:
    unsettled, total = len(senders._unsettled), len(senders.acknowledged)
    for message_id, what in list(wrong.items())[:20]:
        say(f"{message_id}: {what}")
    say(
        f"{len(wrong)} of {total:,} acknowledged messages lost; refused: {len(senders.refused)}; unsettled: {unsettled}"
    )
    harmed = {senders.acknowledged[message_id].life for message_id in wrong}
    is_clean = not unsettled and not senders.refused
    return Verdict(
        name="receiver_kills",
        title="The receiver killed under load",
        command=f"python -m tests.reliability.receiver_kills --seed {seed} --kills {kills}",
        held=kills - len(harmed & set(range(kills))) if is_clean and kills not in harmed else 0,
        tried=kills,
        lines=[
            f"SIGKILL at random moments while {SENDERS} senders post and a taker moves messages on: "
            f"{total:,} messages acknowledged, {len(wrong)} of them lost, doubled or damaged; "
            f"what was not acknowledged was sent again and taken.",
        ],
    )


def main() -> int:
    """Kill receivers. Returns 1 if one of them took an acknowledged message with it."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.receiver_kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kills", type=int, default=20)
    add_keep_option(parser)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chalk-kills-"))
    folder.chmod(0o755)
    try:
        verdict = run(
            folder, seed=arguments.seed, kills=arguments.kills, say=lambda line: print(line, flush=True)
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return conclude(verdict, keep=arguments.keep)


if __name__ == "__main__":
    raise SystemExit(main())
