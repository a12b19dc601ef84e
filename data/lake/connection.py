"""How a DuckDB connection meets the lake. Used by the writer and the reader, and by nobody else."""

from __future__ import annotations

import importlib.resources
import os
from pathlib import Path

import duckdb

from data.postgres import PERSONAL_CATALOGUE, Postgres
from data.settings import Settings

EXTENSIONS = ("ducklake", "postgres_scanner")

SCHEMAS = (
    "raw_marketplace",
    "raw_quality",
    "raw_operations",
    "rulebook",
    "staging",
    "intermediate",
    "core",
    "features",
    "ml",
    "marts",
)
PERSONAL = "pii"
"""The catalogue of personal data, attached beside the lake. It keeps no history and has no schemas: pii.customers."""


class LakeError(RuntimeError):
    """The lake could not do what was asked; the message says what, why and what to do next."""


def connect(settings: Settings, *, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB with the lake's extensions loaded from their wheels, never from a network."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "extension_directory": str(install_extensions(settings)),
            "autoinstall_known_extensions": "false",
            "memory_limit": memory_limit,
            "threads": str(settings.threads),
            "temp_directory": str(settings.state / "tmp"),
            "preserve_insertion_order": "false",
        },
    )
    # Of the whole database: cursors do not inherit what one connection sets.
    connection.execute("set global TimeZone = 'UTC'")
    for extension in EXTENSIONS:
        connection.execute(f"load {extension}")
    return connection


def install_extensions(settings: Settings) -> Path:
    """Unpack the extensions into the state folder once. Returns the extension directory."""
    folder = settings.extension_path
    missing = [name for name in EXTENSIONS if not list(folder.glob(f"*/*/{name}.duckdb_extension"))]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(":memory:", config={"extension_directory": str(folder)}) as connection:
            for name in missing:
                package = importlib.resources.files(f"duckdb_extension_{name}")
                wheel_file = package / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
                if not Path(str(wheel_file)).exists():
                    raise LakeError(
                        f"extension {name} for DuckDB {duckdb.__version__} is not in its wheel; "
                        f"install duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}"
                    )
                connection.execute(f"install '{wheel_file}'")
    return folder


def attach_address(postgres: Postgres, *, reader: bool) -> str:
    """Return the address of the lake's catalogue for ATTACH."""
    return "ducklake:postgres:" + postgres.libpq("lake", reader=reader)


def attach_personal(
    connection: duckdb.DuckDBPyConnection, settings: Settings, postgres: Postgres, *, reader: bool
) -> None:
    """Attach the catalogue of personal data at its newest snapshot.

    No personal row waits in the catalogue itself: what is erased must be gone with its file.
    """
    address = "ducklake:postgres:" + postgres.libpq("lake", reader=reader, personal=True)
    how = "read_only" if reader else f"data_path {quote(settings.personal_path)}, data_inlining_row_limit 0"
    connection.execute(
        f"attach {quote(address)} as {PERSONAL} ({how}, metadata_schema {quote(PERSONAL_CATALOGUE)})"
    )


def quote(text: str) -> str:
    """Quote a string literal for a statement that takes no parameters (ATTACH, SET)."""
    return "'" + text.replace("'", "''") + "'"


def dbt_environment(settings: Settings, postgres: Postgres) -> dict[str, str]:
    """Return the variables that dbt_project/profiles.yml reads. dbt runs in a process of its own."""
    return {
        "CHALKLINE_LAKE_ADDRESS": attach_address(postgres, reader=False),
        "CHALKLINE_LAKE_PATH": settings.lake_path,
        "CHALKLINE_EXTENSION_PATH": str(install_extensions(settings)),
        "DBT_TARGET_PATH": str(settings.state / "dbt"),
        "DBT_LOG_PATH": str(settings.state / "dbt" / "logs"),
        # What dbt writes by default, each statement and its plan, takes a tenth of a build.
        "DBT_LOG_LEVEL_FILE": "info",
        "CHALKLINE_MEMORY_LIMIT": settings.writer_memory_limit,
        "CHALKLINE_THREADS": str(settings.threads),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        # Whoever asks for these starts dbt itself: dbt then ends when this process does (assets/leash.py).
        "CHALKLINE_WORKER_PID": str(os.getpid()),
    }
