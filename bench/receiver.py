"""Piece `receiver`: what verifying, keeping once and judging cost on top of reading a body and syncing a file."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from standardwebhooks import Webhook

from bench.measure import Figure, in_turns
from bench.states import State, free_port
from data.clock import SystemClock
from data.postgres import open_postgres
from data.secrets import webhook_secrets
from data.settings import Settings
from orchestration.world import serving

if TYPE_CHECKING:
    from bench.__main__ import Bench

EVENTS = {"tiny": 200, "demo": 2_000, "full": 2_000}
"""Events of one round."""
SENDERS = 16
"""Connections that each send one event after the other: a marketplace with that many workers."""
HOST = "127.0.0.1"
PATH = "/api/webhooks"


@dataclass(frozen=True)
class Round:
    """What one round took: all of it, and each acknowledgement. Seconds."""

    seconds: float
    acknowledgements: Sequence[float]

    def percentile(self, share: int) -> float:
        """Return the acknowledgement time that so many in a hundred did not exceed."""
        return statistics.quantiles(self.acknowledgements, n=100, method="inclusive")[share - 1]


def measure(bench: Bench) -> list[Figure]:
    """Compare the receiver as it is served with a bare app: events per second, and acknowledgements at p50 and p99."""
    settings = _settings(bench)
    count = EVENTS[bench.profile]
    rounds: dict[str, list[Round]] = {"ours": [], "theirs": []}
    with ExitStack() as stack:
        ports = {
            "ours": _serve_product(stack, settings),
            "theirs": _serve_bare(stack, settings.state / "bare"),
        }

        def turn(side: str) -> float:
            done = asyncio.run(_send(ports[side], _requests(settings, count)))
            rounds[side].append(done)
            return done.seconds

        bench.tell("one round of each to warm up")
        for side in rounds:
            turn(side)
            rounds[side].clear()
        in_turns(
            lambda: turn("ours"),
            lambda: turn("theirs"),
            pairs=bench.pairs,
            tell=bench.tell,
            print_line=bench.print_line,
        )
    return _figures(rounds["ours"], rounds["theirs"], count)


def _figures(ours: Sequence[Round], theirs: Sequence[Round], count: int) -> list[Figure]:
    rates = [f"{count / statistics.median(one.seconds for one in side):,.0f}" for side in (ours, theirs)]
    measures = {
        f"{count:,} events made durable": (
            [[one.seconds for one in side] for side in (ours, theirs)],
            [f"{rates[0]} events a second against {rates[1]}, {SENDERS} connections"],
        )
    }
    for share in (50, 99):
        times = [[one.percentile(share) for one in side] for side in (ours, theirs)]
        shown = [f"{1000 * statistics.median(side):.1f} ms" for side in times]
        measures[f"acknowledge time at p{share}"] = (times, [f"{shown[0]} against {shown[1]}"])
    return [
        Figure(
            piece="receiver",
            name=name,
            product="app.receiver: signature, one durable drop per id, judgement behind the answer",
            yardstick="bare ASGI app: reads the body, syncs one file",
            product_seconds=times[0],
            yardstick_seconds=times[1],
            notes=notes,
        )
        for name, (times, notes) in measures.items()
    ]


def _settings(bench: Bench) -> Settings:
    # A state of its own, emptied of messages: neither side may find what an earlier run has left.
    state = State(bench.root, "receiver")
    settings = state.settings().model_copy(update={"receiver_port": free_port(), "webhook_secrets": None})
    for folder in (settings.landing_path, settings.state / "bare"):
        shutil.rmtree(folder, ignore_errors=True)
    settings.state.mkdir(parents=True, exist_ok=True)
    return settings


def _serve_product(stack: ExitStack, settings: Settings) -> int:
    open_postgres(settings)
    environment = os.environ | {
        "CHALKLINE_STATE": str(settings.state),
        "CHALKLINE_RECEIVER_PORT": str(settings.receiver_port),
        "CHALKLINE_WEBHOOK_SECRETS": ",".join(webhook_secrets(settings)),
    }
    _serve(
        stack, ["-m", "app.receiver"], settings.receiver_port, settings.state / "receiver.log", environment
    )
    return settings.receiver_port


def _serve_bare(stack: ExitStack, folder: Path) -> int:
    port = free_port()
    command = ["-m", "bench.bare_receiver", str(folder), str(port)]
    _serve(stack, command, port, folder.with_suffix(".log"), os.environ | {})
    return port


def _serve(stack: ExitStack, command: list[str], port: int, log: Path, environment: dict[str, str]) -> None:
    up = f"http://{HOST}:{port}/up"
    stack.enter_context(
        serving([sys.executable, *command], up=up, name=command[1], log=log, environment=environment)
    )


def _requests(settings: Settings, count: int) -> list[bytes]:
    """Return so many authentic requests as they go over the wire, signed now and never sent before."""
    webhook, now, name = Webhook(webhook_secrets(settings)[0]), SystemClock().now(), uuid.uuid4().hex
    made = []
    for number in range(count):
        message_id = f"msg_{name}_{number}"
        body = json.dumps({"type": "session.completed", "data": _session(f"{name}_{number}")})
        head = [
            f"POST {PATH} HTTP/1.1",
            f"host: {HOST}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"webhook-id: {message_id}",
            f"webhook-timestamp: {int(now.timestamp())}",
            f"webhook-signature: {webhook.sign(message_id, now, body)}",
        ]
        made.append("\r\n".join([*head, "", body]).encode())
    return made


def _session(session_id: str) -> dict[str, object]:
    return {
        "session_id": session_id,
        "tutor_id": "tut_1",
        "student_id": "cus_1",
        "subjects_covered": ["algebra"],
        "session_start_time": "2026-03-01T10:00:00Z",
        "session_end_time": "2026-03-01T11:00:00Z",
        "tutor_join_time": "2026-03-01T10:00:00Z",
        "tutor_leave_time": "2026-03-01T11:00:00Z",
        "student_join_time": "2026-03-01T10:00:00Z",
        "student_leave_time": "2026-03-01T11:00:00Z",
        "is_first_session": False,
        "was_rescheduled": False,
        "student_feedback": {
            "rating": 5,
            "description": "We got through all of it and had time for questions.",
        },
    }


async def _send(port: int, requests: list[bytes]) -> Round:
    waiting, times = iter(requests), []

    async def sender() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        for request in waiting:
            began = time.perf_counter()
            writer.write(request)
            await _accepted(reader)
            times.append(time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()

    began = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    return Round(time.perf_counter() - began, times)


async def _accepted(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    body = await reader.readexactly(length)
    if not head.startswith("http/1.1 202"):
        raise RuntimeError(f"an event was not accepted: {head.splitlines()[0]} {body[:200]!r}")
