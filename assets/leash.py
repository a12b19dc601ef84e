"""Ends a dbt process whose worker is gone. Loaded by dbt itself, as a plugin that dbt_project/profiles.yml names.

A worker holds the turn to build; killed alone, it lets go of it at once, and the dbt that it had started would go on
writing beside the next run. Nothing else belongs here.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from data.settings import Settings

LOOK_EVERY_SECONDS = 0.2


class Plugin(BasePlugin):
    """Watches the worker from a thread, for as long as dbt runs. Does nothing for a dbt that no worker started."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Begin to watch."""
        worker = Settings().worker_pid
        # A worker may use dbt's adapter within its own process: it is not its own parent.
        if worker is not None and worker != os.getpid():
            threading.Thread(target=_end_with, args=(worker,), name="leash", daemon=True).start()


def _end_with(worker: int) -> None:
    # What this process has not committed is rolled back, as if it had been killed together with its worker.
    while os.getppid() == worker:
        time.sleep(LOOK_EVERY_SECONDS)
    os._exit(1)
