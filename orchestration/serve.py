"""Serves a deployment in the foreground: every door and Dagster, under one process manager."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence

from honcho.manager import Manager
from honcho.printer import Printer

from data.postgres import open_postgres
from data.settings import PROJECT_ROOT, Settings
from orchestration.world import mock_command


def serve(settings: Settings, only: Sequence[str] = ()) -> int:
    """Start all processes or those named, and stay until one ends or Ctrl-C. Returns an exit status.

    Raises ValueError for a name that nothing here has.
    """
    served = processes(settings)
    unknown = set(only) - served.keys()
    if unknown:
        raise ValueError(
            f"nothing here is called {', '.join(sorted(unknown))}; choose of {', '.join(served)}"
        )
    # Holding a connection keeps the embedded Postgres alive for as long as anything is served.
    open_postgres(settings)
    manager = Manager(Printer(sys.stdout))
    for name in only or served:
        manager.add_process(name, served[name], cwd=str(PROJECT_ROOT))
    if not only:
        for name, address in addresses(settings).items():
            print(f"{name:<12} {address}")
        print(f"{'outbox':<12} {settings.outbox_path / 'index.html'}", flush=True)
    manager.loop()
    # All that was served has ended. What is left are the manager's own helpers: seen once on a busy machine, one
    # waits for ever to hand over a last line, and this process for it.
    for helper in multiprocessing.active_children():
        helper.kill()
    return int(manager.returncode or 0)


def processes(settings: Settings) -> dict[str, str]:
    """Return what is served, and how each is started."""
    python = sys.executable
    found = {
        "dashboard": f"{python} -m app.dashboard",
        "receiver": f"{python} -m app.receiver",
        "api": f"{python} -m app.api",
        # One process holds the code for both of the next two: on its own the daemon would load it anew every minute.
        "code": f"{python} -m dagster code-server start -m orchestration.definitions -h 127.0.0.1 "
        f"-p {settings.dagster_code_port} --location-name chalkline --log-level warning",
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
        "read API": f"{host}:{settings.api_port}/openapi.json",
    }
    if has_world(settings):
        found["marketplace"] = f"{host}:{settings.mock_rails_port}/up"
    return found
