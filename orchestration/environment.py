"""What child processes need to know: where Dagster's instance lives, and its database. Sets variables, reads none."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from data.postgres import open_postgres
from data.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

INSTANCE_FILE = Path(__file__).with_name("instance") / "dagster.yaml"


def prepare_environment(settings: Settings) -> None:
    """Create the state folder and Dagster's home, and point this process and its children at them."""
    home = settings.state / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (settings.state / "tmp").mkdir(exist_ok=True)
    _put_whole(INSTANCE_FILE, home / "dagster.yaml")
    os.environ |= {
        "CHALKLINE_STATE": str(settings.state),
        "DAGSTER_HOME": str(home),
        "CHALKLINE_DAGSTER_CODE_PORT": str(settings.dagster_code_port),
        "CHALKLINE_DAGSTER_URL": open_postgres(settings).url("dagster").render_as_string(hide_password=False),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "TMPDIR": str(settings.state / "tmp"),
        "PYTHONWARNINGS": "ignore",
    }
    warnings.simplefilter("ignore")


def keep_connection(instance: dg.DagsterInstance) -> None:
    """Let this process keep its connections to Dagster's database, as the webserver does.

    Dagster opens one for each event otherwise: 1,650 in a fast lane, an eighth of its time.
    """
    instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3_600, max_overflow=20)


def _put_whole(source: Path, target: Path) -> None:
    # A process that starts at this moment must not read half a file: it would run on other storage.
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, draft)
    draft.replace(target)
