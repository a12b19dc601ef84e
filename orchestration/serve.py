"""Serves a deployment in the foreground: every door and Dagster, under one process manager."""

from __future__ import annotations

import sys

from honcho.manager import Manager
from honcho.printer import Printer

from data.postgres import open_postgres
from data.settings import PROJECT_ROOT, Settings
from orchestration.world import mock_command


def serve(settings: Settings) -> int:
    """Start all processes, print their addresses, and stay until one ends or Ctrl-C. Returns an exit status."""
    # Holding a connection keeps the embedded Postgres alive for as long as anything is served.
    open_postgres(settings)
    manager = Manager(Printer(sys.stdout))
    for name, command in processes(settings).items():
        manager.add_process(name, command, cwd=str(PROJECT_ROOT))
    for name, address in addresses(settings).items():
        print(f"{name:<12} {address}")
    print(f"{'outbox':<12} {settings.outbox_path / 'index.html'}", flush=True)
    manager.loop()
    return int(manager.returncode or 0)


def processes(settings: Settings) -> dict[str, str]:
    """Return what is served, and how each is started. Procfile holds the same for other process managers."""
    python = sys.executable
    found = {
        "dashboard": f"{python} -m app.dashboard",
        "receiver": f"{python} -m app.receiver",
        "dagster": f"{python} -m dagster_webserver -w workspace.yaml -h {settings.bind} "
        f"-p {settings.dagster_port} --dagster-log-level warning",
        "daemon": f"{python} -m dagster._daemon run -w workspace.yaml --log-level warning",
    }
    if has_world(settings):
        found["marketplace"] = " ".join(mock_command(settings, with_webhooks=True))
    return found


def has_world(settings: Settings) -> bool:
    """Tell whether this deployment simulates its marketplace."""
    return (settings.world_path / "world.json").exists()


def addresses(settings: Settings) -> dict[str, str]:
    """Return what listens where."""
    host = f"http://{settings.bind}"
    found = {
        "dashboard": f"{host}:{settings.dashboard_port}",
        "Dagster": f"{host}:{settings.dagster_port}",
        "receiver": f"{host}:{settings.receiver_port}/up",
    }
    if has_world(settings):
        found["marketplace"] = f"{host}:{settings.mock_rails_port}/up"
    return found
