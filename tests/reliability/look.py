"""Looks at a state from a process of its own, which ends afterwards: what is in it, what is published, what ran last.

    python -m tests.reliability.look --state FOLDER

The torture asks this way so that no connection of its own keeps the embedded server of a killed lane alive.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from data.operations import publications
from data.operations.store import Operations, open_operations
from data.operations.tables import AlertEpisode, OutboxRow
from data.postgres import Postgres, engine_for, open_postgres
from data.settings import Settings
from tests.reliability.digests import lake_digests

UNDER_WAY = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED")


def look(settings: Settings, *, published_only: bool) -> dict[str, Any]:
    """Return what is in a state, as plain values."""
    postgres = open_postgres(settings)
    operations = open_operations(postgres)
    seen: dict[str, Any] = {"publication": _published(operations), "steps": steps_under_way(postgres)}
    if seen["publication"]:
        seen["published"] = lake_digests(settings, snapshot=seen["publication"]["snapshot"])
    if not published_only:
        seen["lake"] = lake_digests(settings)
        seen["operations"] = _decided(operations, settings)
    return seen


def _published(operations: Operations) -> dict[str, Any] | None:
    with operations.session() as session:
        row = publications.current(session)
        if row is None:
            return None
        return {"version": row.publication_id, "snapshot": row.lake_snapshot_id, "lane": row.lane}


def _decided(operations: Operations, settings: Settings) -> dict[str, list[str]]:
    """Return episodes and mails without the identifiers that are drawn anew in every run."""
    with operations.session() as session:
        episodes = [
            f"{row.fingerprint} {row.severity} {row.status} {row.as_of_date} {row.is_baseline} {row.evidence}"
            for row in session.scalars(sa.select(AlertEpisode))
        ]
        mails = [
            (f"{row.kind} {row.recipient} {row.subject} {row.not_before}", row.status)
            for row in session.scalars(sa.select(OutboxRow))
        ]
    files = Counter(
        file.name.split("-", 1)[1].rsplit("-", 1)[0] for file in settings.outbox_path.glob("*.eml")
    )
    return {
        "episodes": sorted(episodes),
        "mails": sorted(mail for mail, _ in mails),
        "mails by status": sorted(f"{mail} {status}" for mail, status in mails),
        "mail files": sorted(f"{count} x {name}" for name, count in files.items()),
    }


def steps_under_way(postgres: Postgres) -> list[str]:
    """Return what runs that never ended were doing: lane and the steps begun but not ended."""
    with engine_for(postgres.url("dagster")).connect() as connection:
        if not sa.inspect(connection).has_table("runs"):
            return []
        found = []
        runs = connection.execute(
            sa.text("select run_id, pipeline_name, status from runs where status = any(:names) order by id"),
            {"names": list(UNDER_WAY)},
        ).all()
        for run_id, lane, status in runs:
            events = connection.execute(
                sa.text(
                    "select step_key, dagster_event_type from event_logs where run_id = :run "
                    "and dagster_event_type in ('STEP_START', 'STEP_SUCCESS', 'STEP_FAILURE') order by id"
                ),
                {"run": run_id},
            ).all()
            begun = [step for step, kind in events if kind == "STEP_START"]
            ended = {step for step, kind in events if kind != "STEP_START"}
            steps = [step for step in begun if step not in ended]
            where = ", ".join(steps) if steps else (f"after {begun[-1]}" if begun else status.lower())
            found.append(f"{lane}: {where}")
    return found


def main() -> None:
    """Print what is in a state as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.look", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--published-only", action="store_true")
    arguments = parser.parse_args()
    settings = Settings(state=arguments.state.absolute())
    print(json.dumps(look(settings, published_only=arguments.published_only)))


if __name__ == "__main__":
    main()
