"""A published version for the read API, made from dbt's contracts, and questions asked without a socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import yaml
from fastapi.testclient import TestClient

from app.api.main import Api, create_app
from app.api.shelf import Shelf
from app.keys import KeyDesk
from data.clock import FixedClock
from data.lake.writer import LakeWriter
from data.operations import api_keys, publications
from data.operations.store import Operations
from data.settings import Settings

NOON = datetime(2026, 3, 2, 17, tzinfo=UTC)
RELATIONS = ("core.dim_tutors", "marts.rpt_tutor_timeline", "marts.fct_engagement_days")
TIMELINE = "/api/engagement/tutors/{}/timeline"
METRICS = "/api/engagement/metrics"

Rows = Mapping[str, Sequence[dict[str, Any]]]


def build(lake: LakeWriter, settings: Settings, rows: Rows) -> int:
    """Make the relations that the API reads, as their contracts say, and return the snapshot to publish."""
    for path in sorted((settings.dbt_project_path / "models").glob("*/_*.yml")):
        for model in yaml.safe_load(path.read_text()).get("models", []):
            relation = f"{path.parent.name}.{model['name']}"
            if relation in RELATIONS:
                columns = ", ".join(f'"{c["name"]}" {c["data_type"]}' for c in model["columns"])
                lake.connection.execute(f"create or replace table lake.{relation} ({columns})")
                if rows.get(relation):
                    frame = pl.DataFrame(list(rows[relation]), infer_schema_length=None)
                    lake.connection.register("incoming", frame)
                    lake.connection.execute(f"insert into lake.{relation} by name select * from incoming")
                    lake.connection.unregister("incoming")
    return lake.snapshot_id()


def publish(operations: Operations, snapshot_id: int) -> int:
    """Put a snapshot in front of readers and return its version."""
    with operations.session() as session:
        row = publications.publish(
            session, snapshot_id=snapshot_id, lane="fast", as_of_date=NOON.date(), checks={}, now=NOON
        )
        assert isinstance(row, publications.Publication)
        return row.publication_id


def an_entry(number: int, *, tutor_id: str = "t1", kind: str = "session", **changes: Any) -> dict[str, Any]:
    """One entry of a timeline; a larger number happened later, three share one instant."""
    return {
        "tutor_id": tutor_id,
        "event_id": f"{kind}:{number:04}",
        "kind": kind,
        "event_type": "completed",
        "session_id": f"s{number}",
        "customer_id": "c1",
        "subject_id": "maths",
        "details": '{"late_minutes":12.5}',
        "occurred_at": datetime(2026, 2, 1, 10) + timedelta(hours=number // 3),
    } | changes


@dataclass
class Door:
    """The API over one deployment, with a key for each scope."""

    settings: Settings
    operations: Operations
    requests_per_minute: int = 1_000_000

    def __post_init__(self) -> None:
        """Issue the keys and open the door."""
        with self.operations.session() as session:
            self.read_key, self.track_key = (
                api_keys.issue(session, name=scope, scopes=[scope], actor="test", now=NOON)[1]
                for scope in ("read", "track")
            )
        clock = FixedClock(NOON)
        desk = KeyDesk.of(self.operations, clock, requests_per_minute=self.requests_per_minute)
        app = create_app(Api(Shelf(self.settings, self.operations), desk))
        self.client = TestClient(app, raise_server_exceptions=False)

    def get(self, path: str, *, key: str | None = None, tag: str | None = None, **query: Any) -> Any:
        """Ask with a key; the read key by default, none at all for an empty one."""
        headers = {"Authorization": f"Bearer {key or self.read_key}"} if key != "" else {}
        if tag is not None:
            headers["If-None-Match"] = tag
        return self.client.get(path, params=query or None, headers=headers)


def assert_problem(answer: Any, status: int) -> dict[str, Any]:
    """Return the problem that an answer is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    return problem
