"""The simulated marketplace, reached only as a stranger would be: by its own command line and over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import httpx

from data.clock import Clock
from data.secrets import webhook_secrets
from data.settings import PROJECT_ROOT, Settings

START_TIMEOUT_SECONDS = 90.0
STOP_TIMEOUT_SECONDS = 20.0


def build_world(settings: Settings, clock: Clock, *, profile: str, seed: int) -> None:
    """Build a world that ends now, unless one stands already. Raises RuntimeError if another one stands."""
    card = settings.world_path / "world.json"
    if card.exists():
        known = json.loads(card.read_text())
        if (known["profile"], known["seed"]) != (profile, seed):
            raise RuntimeError(
                f"world {known['profile']} (seed {known['seed']}) stands in {settings.world_path}; "
                "choose another CHALKLINE_STATE for this one"
            )
        return
    _mock(
        "build", "--profile", profile, "--seed", str(seed), "--until", clock.now().isoformat(),
        "--out", str(settings.world_path),
    )  # fmt: skip


def export_history(settings: Settings, *, before: datetime) -> Path:
    """Write the marketplace's own export of everything that was final before an instant. Returns the folder."""
    folder = settings.state / "tmp" / "history"
    _mock("dump", "--world", str(settings.world_path), "--before", before.isoformat(), "--out", str(folder))
    return folder


def send_webhook(settings: Settings, *, kind: str, session_id: str, tutor_id: str, student_id: str) -> None:
    """Let the marketplace fire one signed webhook at the receiver."""
    # Signed by the machine's clock, as the receiver checks it; the session ended by the deployment's.
    happened = ["--happened-at", settings.now] if settings.now else []
    _mock(
        "send", "--url", receiver_url(settings), "--secret", webhook_secrets(settings)[0], "--kind", kind,
        "--session-id", session_id, "--tutor-id", tutor_id, "--student-id", student_id, *happened,
    )  # fmt: skip


def receiver_url(settings: Settings) -> str:
    """Return the address for webhooks."""
    return f"http://{settings.bind}:{settings.receiver_port}/api/webhooks"


def mock_command(settings: Settings, *, with_webhooks: bool) -> list[str]:
    """Return the command that serves the world."""
    command = [
        sys.executable, "-m", "app.mock_rails", "serve", "--world", str(settings.world_path),
        "--host", settings.bind, "--port", str(settings.mock_rails_port),
    ]  # fmt: skip
    if settings.now:
        command += ["--at", settings.now]
    if with_webhooks:
        command += ["--webhook-url", receiver_url(settings), "--webhook-secret", webhook_secrets(settings)[0]]
    return command


@contextmanager
def serving(
    command: Sequence[str], *, up: str, name: str, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a server for the length of a block. Raises RuntimeError, with its last words, if it does not come up.

    It inherits this process's environment unless it is given one.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, stdout=output, stderr=output)
        try:
            _wait_until_up(process, up, name, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], up: str, name: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(httpx.TransportError):
            if httpx.get(up, timeout=2.0, trust_env=False).status_code == 200:
                return
        time.sleep(0.2)
    last_words = log.read_text(errors="replace")[-2_000:]
    raise RuntimeError(f"{name} did not come up at {up}; its last words in {log}:\n{last_words}")


def _mock(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.mock_rails", *arguments],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"mock_rails {arguments[0]} failed:\n{done.stdout[-1_000:]}{done.stderr[-2_000:]}")
