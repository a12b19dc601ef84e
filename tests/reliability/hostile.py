"""Attacks the receiver: what is not authentic leaves no trace, what is replayed has no effect, keys rotate unnoticed.

    python -m tests.reliability.hostile --seed 7 --requests 20000 --replays 1000

The application is the one that is served, with its secrets file, its keys and its landing; only the socket is left
out and the clock is set by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI

from app.keys import KeyDesk
from app.receiver.main import Receiver, create_app
from data.contracts.messages import Message
from data.landing import Landing
from data.operations import api_keys
from data.operations.store import Operations, open_operations
from data.postgres import open_postgres
from data.secrets import SecretRing, webhook_secrets
from data.settings import Settings
from tests.reliability.attacks import WEBHOOKS, Armoury, Request, a_body, attacks
from tests.reliability.record import Verdict, add_keep_option, conclude
from tests.reliability.rotation import rotation_cases
from tests.reliability.scratch import Hands, scratch_settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FOREIGN_SECRET = "whsec_" + "Zm9yZWlnbiBmb3JlaWduIGZvcmVpZ24gZm9yZWlnbiE="
REPLAYED_MESSAGES = 40
LONGEST_REPLAY = timedelta(days=30)
CROWDED_ADDRESS = "10.255.255.1"


@dataclass
class Target:
    """A receiver as it is served, without its socket."""

    settings: Settings
    operations: Operations
    clock: Hands = field(default_factory=lambda: Hands(NOON))
    judged: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open it."""
        self.landing = Landing(self.settings.landing_path)
        self.app: FastAPI = create_app(
            Receiver(
                landing=self.landing,
                clock=self.clock,
                secrets=SecretRing(self.settings).active,
                judge=self.judged.append,
                keys=KeyDesk.of(self.operations, self.clock, requests_per_minute=1_000_000_000),
            )
        )

    def armoury(self) -> Armoury:
        """Return what attacks are made of: true keys, and keys that may not do what is asked."""
        now = self.clock.now()
        with self.operations.session() as session:

            def key(scope: str, lifetime: timedelta | None = None) -> tuple[int, str]:
                row, token = api_keys.issue(
                    session,
                    name="attacked",
                    scopes=[scope],
                    actor="test",
                    now=now - timedelta(days=2),
                    lifetime=lifetime,
                )
                return row.key_id, token

            (_, good), (_, reads), (_, ended), (revoked_id, revoked) = (
                key("track"), key("read"), key("track", timedelta(days=1)), key("track"),
            )  # fmt: skip
            api_keys.revoke(session, revoked_id, actor="test", now=now)
        secret = webhook_secrets(self.settings, now=now)[0]
        return Armoury(now, secret, FOREIGN_SECRET, good, (reads, ended, revoked))

    def files(self) -> dict[Path, bytes]:
        """Return everything that lies in the landing."""
        folder = self.settings.landing_path
        return {place: place.read_bytes() for place in folder.rglob("*") if place.is_file()}

    def post(self, request: Request, *, address: str = "127.0.0.1") -> int:
        """Send one request and return its status."""
        return asyncio.run(self.ask(request, address=address))

    async def ask(self, request: Request, *, address: str) -> int:
        """Send one request and return its status; 599 for one that broke the application."""
        pieces = iter(request.pieces)
        status = 0

        async def receive() -> dict[str, Any]:
            piece = next(pieces, None)
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": list(request.headers),
            "client": (address, 50_000),
            "server": ("127.0.0.1", 8780),
        }
        try:
            await self.app(scope, receive, send)
        except Exception:
            return 599
        return status


@contextmanager
def silence() -> Iterator[None]:
    """Turn the log of the receiver off: a line for each refusal is for people."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.reset_defaults()


@dataclass(frozen=True)
class Attacked:
    """What came of the attacks: how many were refused, the statuses, and what should not have been."""

    refused: int
    statuses: Counter[int]
    wrong: tuple[str, ...]


def attack(target: Target, *, seed: int, count: int) -> Attacked:
    """Send attacks, most of them from addresses of their own, every tenth from one that is soon limited."""
    statuses: Counter[int] = Counter()
    wrong: Counter[str] = Counter()
    armoury, before = target.armoury(), target.files()

    async def all_of_them() -> None:
        for number, request in enumerate(attacks(armoury, seed=seed, count=count)):
            own = f"10.{number // 65_536}.{number // 256 % 256}.{number % 256}"
            status = await target.ask(request, address=own if number % 10 else CROWDED_ADDRESS)
            statuses[status] += 1
            if not 400 <= status < 500:
                wrong[f"{request.attack}: {request.method} {request.path} was answered {status}"] += 1

    asyncio.run(all_of_them())
    refused = sum(number for status, number in statuses.items() if 400 <= status < 500)
    traces = len(target.files().keys() - before.keys()) + len(target.judged)
    if traces:
        wrong[f"{traces} traces were left"] += 1
    return Attacked(refused if not traces else 0, statuses, tuple(wrong))


def replay(target: Target, *, count: int) -> int:
    """Send authentic messages, then the same again with new stamps, up to 30 days later. Returns those without effect.

    A third of the messages still waits, a third is claimed, a third was archived when they come again.
    """
    armoury = target.armoury()
    bodies = {f"replayed_{number}": a_body(number) for number in range(min(REPLAYED_MESSAGES, count))}
    third = len(bodies) // 3
    for place, (message_id, body) in enumerate(bodies.items()):
        assert target.post(armoury.signed(body, message_id)) == 202
        if place in (third, 2 * third):
            claimed = [drop.message_id for drop in target.landing.claim()]
            if place == third:
                target.landing.finish(claimed)
    kept, judged, calm = target.files(), len(target.judged), 0
    for number in range(count):
        message_id, body = list(bodies.items())[number % len(bodies)]
        # From one second to 30 days, evenly in the logarithm: seconds, minutes, hours and days alike.
        seconds = LONGEST_REPLAY.total_seconds() ** ((number + 1) / count) if count > 1 else 1
        target.clock.instant = NOON + timedelta(seconds=seconds)
        stamp = str(int(target.clock.instant.timestamp()))
        status = target.post(armoury.signed(body, message_id, stamp=stamp))
        calm += status == 200 and len(target.judged) == judged
    target.clock.instant = NOON
    return calm if target.files() == kept else 0


def stamps(target: Target) -> dict[str, bool]:
    """Return for every edge of the time stamp whether it was accepted or refused as it should be."""
    armoury, now = target.armoury(), int(NOON.timestamp())
    shapes = [(f"{shift:+d} s", str(now + shift), abs(shift) <= 300) for shift in (-301, -300, 0, 300, 301)]
    arabic, wide = ("".join(chr(zero + int(digit)) for digit in str(now)) for zero in (0x660, 0xFF10))
    named = {
        "NaN": "NaN",
        "inf": "inf",
        "1e9": "1e9",
        "a fraction": f"{now}.9",
        "non-ASCII digits": arabic,
        "wide digits": wide,
    }
    shapes += [(name, text, False) for name, text in named.items()]
    right = {}
    for number, (name, text, is_good) in enumerate(shapes):
        status = target.post(armoury.signed(a_body(number), f"stamp_{number}", stamp=text))
        right[name] = status == (202 if is_good else 401)
    return right


def rotations(target: Target) -> dict[str, bool]:
    """Return for every case of a rotation whether it went as it should."""
    armoury = target.armoury()
    numbers = iter(range(1_000_000))

    def send(*secrets: str) -> bool:
        number = next(numbers)
        stamp = str(int(target.clock.now().timestamp()))
        signed = [
            armoury.signed(a_body(number), f"rotated_{number}", stamp=stamp, secret=secret)
            for secret in secrets
        ]
        signatures = b" ".join(request.header(b"webhook-signature") for request in signed)
        status = target.post(
            signed[0].with_header(b"webhook-signature", signatures), address=f"10.9.0.{number % 250}"
        )
        assert status in (202, 401), f"{WEBHOOKS} answered {status}"
        return status == 202

    return rotation_cases(target.settings, target.clock, send, foreign=FOREIGN_SECRET)


def run(*, seed: int, requests: int, replays: int, say: Callable[[str], None]) -> Verdict:
    """Do all of it and return what was found."""
    with silence(), scratch_settings() as settings:
        target = Target(settings, open_operations(open_postgres(settings)))
        attacked = attack(target, seed=seed, count=requests)
        answers = ", ".join(f"{number:,} × {status}" for status, number in sorted(attacked.statuses.items()))
        say(f"hostile requests refused: {attacked.refused:,} of {requests:,} ({answers})")
        calm = replay(target, count=replays)
        say(f"replays without effect: {calm:,} of {replays:,}")
        edges, cases = stamps(target), rotations(target)
    for what, found in (("time stamps", edges), ("rotation cases", cases)):
        say(f"{what} right: {sum(found.values())} of {len(found)}")
    for line in (*attacked.wrong[:20], *(f"wrong: {name}" for name, ok in (edges | cases).items() if not ok)):
        say(line)
    return Verdict(
        name="hostile",
        title="Hostile requests, replays and rotation",
        command=f"python -m tests.reliability.hostile --seed {seed} --requests {requests} --replays {replays}",
        held=attacked.refused + calm + sum(edges.values()) + sum(cases.values()),
        tried=requests + replays + len(edges) + len(cases),
        lines=[
            "| What | Held |",
            "|---|---|",
            f"| not authentic: refused, no trace, never a 5xx | {attacked.refused:,} of {requests:,} |",
            f"| replays up to 30 days later: no effect | {calm:,} of {replays:,} |",
            f"| edges of the time stamp ({', '.join(edges)}) | {sum(edges.values())} of {len(edges)} |",
            f"| rotation ({', '.join(cases)}) | {sum(cases.values())} of {len(cases)} |",
            "",
            f"Answers to the hostile requests: {answers}.",
        ],
    )


def main() -> int:
    """Attack a receiver. Returns 1 if anything got through, broke or left a trace."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.hostile", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--replays", type=int, default=1_000)
    add_keep_option(parser)
    arguments = parser.parse_args()
    verdict = run(
        seed=arguments.seed,
        requests=arguments.requests,
        replays=arguments.replays,
        say=lambda line: print(line, flush=True),
    )
    return conclude(verdict, keep=arguments.keep)


if __name__ == "__main__":
    raise SystemExit(main())
