"""Thousands of hostile requests: none is accepted, none breaks the receiver, none leaves a trace."""

import asyncio
import json
import random
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from receiver_builders import FOREIGN_SECRET, NOON, Answer, Door, Headers, a_session, an_event, signed

HOSTILE_REQUESTS = 4_000
REFUSALS = {400, 401, 413}
GARBAGE = [
    b"", b" ", b"\x00", b"\xff\xfe", b"v1,", b"v1," + b"A" * 44, b"NaN", b"1e9", b"-1", b"9" * 400, b"../../etc/passwd",
    "٠١٢٣".encode(), b"' or 1=1 --", b"<script>", b"%00", b"x" * 8_000, b"v1,====", b"v2,abc v1,", b"\r\nx: y",
]  # fmt: skip


def with_other_headers(generator: random.Random, headers: dict[bytes, bytes]) -> dict[bytes, bytes]:
    name = generator.choice([b"webhook-id", b"webhook-timestamp", b"webhook-signature"])
    value = bytearray(headers.pop(name, b""))
    match generator.randrange(4):
        case 0:
            return headers
        case 1:
            return headers | {name: generator.choice(GARBAGE)}
        case 2 if value:
            value[generator.randrange(len(value))] ^= 1 << generator.randrange(8)
    return headers | {name: bytes(value[: generator.randrange(len(value) + 1)])}


def with_another_body(generator: random.Random, body: bytes) -> bytes:
    place = generator.randrange(len(body))
    match generator.randrange(3):
        case 0:
            return body[:place] + bytes([body[place] ^ (1 << generator.randrange(8))]) + body[place + 1 :]
        case 1:
            return body[:place]
    return body + generator.choice(GARBAGE)


def mutated(generator: random.Random, number: int) -> tuple[Headers, bytes]:
    """A request that was properly signed, but for at least one thing that the signature covers."""
    good = json.dumps(an_event(a_session(f"s{number}"))).encode()
    true = dict(signed(good, f"m{number}", at=NOON + timedelta(seconds=generator.randrange(-250, 250))))
    headers, body = true.copy(), good
    while (headers, body) == (true, good):
        match generator.randrange(4):
            case 0:
                headers = dict(signed(good, f"m{number}", at=NOON, secrets=[FOREIGN_SECRET]))
            case 1:
                headers = dict(
                    signed(good, f"m{number}", at=NOON + generator.choice((-1, 1)) * timedelta(hours=1))
                )
            case 2:
                headers = with_other_headers(generator, true.copy())
            case 3:
                body = with_another_body(generator, good)
    return list(headers.items()), body


def test_of_four_thousand_mutated_requests_none_is_accepted(tmp_path: Path) -> None:
    door = Door(tmp_path / "landing")
    generator = random.Random(20_260_301)

    async def attack() -> list[Answer]:
        return [
            await door.ask(*mutated(generator, number), address=f"10.{number // 250}.{number % 250}.1")
            for number in range(HOSTILE_REQUESTS)
        ]

    answers = asyncio.run(attack())
    survived = sum(answer.status in REFUSALS for answer in answers)
    print(f"survived {survived} of {HOSTILE_REQUESTS}")
    assert survived == HOSTILE_REQUESTS
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert door.files() == []
    assert door.judged == []
    assert door.send(a_session()).status == 202, "and it still works"


HEADER_VALUES = st.binary(max_size=60)


@pytest.fixture(scope="module")
def chance_door(tmp_path_factory: pytest.TempPathFactory) -> Door:
    return Door(tmp_path_factory.mktemp("chance") / "landing")


@given(
    identifier=HEADER_VALUES | st.just(b"msg_1"),
    stamp=HEADER_VALUES | st.just(str(int(NOON.timestamp())).encode()),
    signature=HEADER_VALUES | HEADER_VALUES.map(lambda value: b"v1," + value),
    body=st.binary(max_size=200) | st.just(b"{}"),
)
@settings(max_examples=400)
def test_nothing_made_of_chance_is_accepted(
    chance_door: Door, identifier: bytes, stamp: bytes, signature: bytes, body: bytes
) -> None:
    headers = [
        (b"webhook-id", identifier),
        (b"webhook-timestamp", stamp),
        (b"webhook-signature", signature),
        (b"webhook-signature", b"v1,again"),
    ]
    answer = chance_door.post(headers, body)
    assert answer.status in (401, 429)
    assert chance_door.files() == []
