"""The command line: build, export, send by hand, draw."""

import json
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import polars as pl
import pytest
from conftest import UNTIL
from fastapi.testclient import TestClient
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from app.mock_rails.__main__ import main
from app.mock_rails.api import create_app
from app.mock_rails.clock import Clock
from app.mock_rails.config import Config
from app.mock_rails.plots import draw
from app.mock_rails.world.build import KINDS, World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
IDS = ("session_id", "customer_id", "tutor_id", "call_id", "reschedule_id", "event_id")


def test_build_writes_a_complete_world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["build", "--profile", "tiny", "--seed", "3", "--until", "2026-11-21T12:00:00Z"]
    assert main([*arguments, "--out", str(tmp_path / "w")]) == 0
    assert "Built world tiny (seed 3)" in capsys.readouterr().out
    card = json.loads((tmp_path / "w" / "world.json").read_text())
    assert (card["anchor"], card["time_zone"]) == ("2026-11-21T12:00:00+00:00", "America/New_York")
    for kind in KINDS:
        assert (tmp_path / "w" / f"{kind}.parquet").is_file()


def test_a_missing_world_is_one_line_and_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["dump", "--world", str(tmp_path), "--before", "2026-11-21", "--out", str(tmp_path / "d")])
    assert code == 1
    assert "world.json is missing" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_the_export_agrees_with_the_api(kind: str, tiny: World, tiny_folder: Path, tmp_path: Path) -> None:
    before = UNTIL - timedelta(days=3)
    main(["dump", "--world", str(tiny_folder), "--before", before.isoformat(), "--out", str(tmp_path)])
    export = pl.read_parquet(tmp_path / f"{kind}.parquet")
    assert not any(dtype.is_nested() for dtype in export.dtypes)
    assert (export["updated_at"] < before).all()
    client = TestClient(create_app(tiny, clock=Clock(before), config=Config()))
    records, page = [], 1
    while True:
        url = f"/api/v1/{kind}?per_page=500&page={page}"
        rows = client.get(url, headers={"Authorization": "Bearer mock-token"}).json()[kind]
        if not rows:
            break
        records += rows
        page += 1
    name = next(column for column in IDS if column == export.columns[0])
    by_id = {record[name]: record for record in records}
    assert set(by_id) == set(export[name])
    for row in export.iter_rows(named=True):
        record = by_id[row[name]]
        for column, value in row.items():
            assert _same(column, value, record), (row[name], column)


def _same(column: str, value: object, record: dict[str, object]) -> bool:
    if column.endswith(("_feedback_rating", "_feedback_description")):
        who, _, what = column.rpartition("_")
        feedback = record[who]
        return value == (feedback[what] if isinstance(feedback, dict) else None)
    if isinstance(value, datetime):
        return datetime.fromisoformat(str(record[column])) == value
    if isinstance(record[column], list):
        return json.loads(str(value)) == record[column]
    return value == record[column]


class _Hook(BaseHTTPRequestHandler):
    seen: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(202)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


def test_send_fires_signed_repeated_and_forged_webhooks(capsys: pytest.CaptureFixture[str]) -> None:
    handler = type("Hook", (_Hook,), {"seen": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    base = [
        "send",
        "--url",
        f"http://127.0.0.1:{server.server_port}/x",
        "--secret",
        SECRET,
        "--message-id",
        "msg_1",
    ]
    assert main([*base, "--kind", "tutor_no_show", "--session-id", "ses_7", "--times", "2"]) == 0
    assert main([*base, "--forge"]) == 0
    server.shutdown()
    server.server_close()
    first, second, forged = handler.seen  # type: ignore[attr-defined]
    assert first[1] == second[1]
    assert first[0]["webhook-id"] == "msg_1"
    body = Webhook(SECRET).verify(first[1], first[0])
    assert body["data"]["session_id"] == "ses_7"
    assert body["data"]["tutor_join_time"] is None
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(forged[1], forged[0])
    assert "HTTP 202, 202" in capsys.readouterr().out


def test_the_pictures_are_small_and_say_true_things(demo_folder: Path, tmp_path: Path) -> None:
    page = draw(demo_folder, out=tmp_path / "world", page=tmp_path / "world.md")
    pictures = sorted((tmp_path / "world").glob("*.png"))
    assert len(pictures) == 7
    assert all(picture.stat().st_size < 80_000 for picture in pictures)
    assert all(f"world/{picture.name}" in page.read_text() for picture in pictures)


def test_a_naive_instant_is_read_as_utc(tiny_folder: Path, tmp_path: Path) -> None:
    for text, name in (("2026-11-10T00:00:00", "a"), ("2026-11-09T19:00:00-05:00", "b")):
        main(["dump", "--world", str(tiny_folder), "--before", text, "--out", str(tmp_path / name)])
    assert (tmp_path / "a" / "sessions.parquet").read_bytes() == (
        tmp_path / "b" / "sessions.parquet"
    ).read_bytes()
