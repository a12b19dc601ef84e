"""Requests that were valid, but for at least one thing. Seeded: one number is one request, whenever it is asked for.

What belongs here: what an attacker or a broken sender can do to a request. What does not: what must come of it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from app.receiver.main import LARGEST_BODY_BYTES
from app.receiver.track import LARGEST_BODY_BYTES as LARGEST_TRACK_BYTES

WEBHOOKS, TRACK = "/api/webhooks", "/api/engagement/track"
SIGNED = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
GARBAGE = [
    b"", b" ", b"\x00", b"\xff\xfe", b"v1,", b"v1," + b"A" * 44, b"NaN", b"nan", b"inf", b"-inf", b"1e9", b"-1", b".9",
    b"9" * 400, b"../../etc/passwd", "٠١٢٣".encode(), "１２".encode(), b"' or 1=1 --", b"<script>", b"%00", b"v1,====",
    b"v2,abc v1,", b"\r\nx: y", b"None", b"0x65", b"true",
]  # fmt: skip
METHODS = ("GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "post", "X", "")
PATHS = (
    "/", "//api/webhooks", "/api/webhooks/", "/api/webhooks/../up", "/API/webhooks", "/api/webhooks%2f", "/docs",
    "/openapi.json", "/api/webhooks/session-completed/x", "/.env", "/api/engagement", "/api/engagement/track/1",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """One request as it goes over the wire: the body in pieces, headers as bytes."""

    headers: tuple[tuple[bytes, bytes], ...]
    pieces: tuple[bytes, ...]
    method: str = "POST"
    path: str = WEBHOOKS
    attack: str = ""

    def with_header(self, name: bytes, *values: bytes) -> Request:
        """Return the request with a header given so, as often as there are values."""
        rest = tuple(header for header in self.headers if header[0] != name)
        return replace(self, headers=(*rest, *((name, value) for value in values)))

    def header(self, name: bytes) -> bytes:
        """Return the value of a header."""
        return dict(self.headers).get(name, b"")

    @property
    def body(self) -> bytes:
        """The body as one."""
        return b"".join(self.pieces)

    @property
    def essence(self) -> tuple[Any, ...]:
        """What a door looks at, so that a spoiled request can be told from a valid one."""
        return sorted(self.headers), self.body, self.method, self.path

    def with_body(self, *pieces: bytes) -> Request:
        """Return the request with another body."""
        return replace(self, pieces=pieces)


@dataclass
class Armoury:
    """What attacks are made of: the keys of the deployment at an instant, and keys that are none of its own."""

    now: datetime
    secret: str
    foreign_secret: str
    track_key: str
    powerless_keys: tuple[str, ...]
    chance: random.Random = field(default_factory=random.Random)

    def signed(
        self, body: bytes, message_id: str, *, stamp: str | None = None, secret: str | None = None
    ) -> Request:
        """Return a request with a true signature over exactly what is given, however odd it is."""
        stamp = stamp if stamp is not None else str(int(self.now.timestamp()))
        content = f"{message_id}.{stamp}.".encode("utf-8", "surrogatepass") + body
        key = base64.b64decode((secret or self.secret).removeprefix("whsec_"))
        signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest())
        values = (message_id.encode("utf-8", "surrogatepass"), stamp.encode(), b"v1," + signature)
        return Request(tuple(zip(SIGNED, values, strict=True)), (body,))

    def valid(self, number: int) -> Request:
        """Return a webhook that is authentic."""
        at = self.now + timedelta(seconds=self.chance.randrange(-250, 250))
        return self.signed(a_body(number), f"msg_{number}", stamp=str(int(at.timestamp())))

    def tracked(self, body: bytes, *, key: str | None = None) -> Request:
        """Return a report of an app."""
        header = (b"authorization", b"Bearer " + (self.track_key if key is None else key).encode())
        return Request((header,), (body,), path=TRACK)


def a_body(number: int) -> bytes:
    """Return the body of a webhook about one session."""
    record = {
        "session_id": f"s{number}",
        "tutor_id": "t1",
        "student_id": "c1",
        "session_start_time": "2026-03-01T10:00:00Z",
        "session_end_time": "2026-03-01T11:00:00Z",
        "student_feedback": {"rating": 1, "description": "très long, £5 für nichts"},
    }
    event = {"type": "session.completed", "timestamp": "2026-03-01T11:05:00Z", "data": record}
    return json.dumps(event, ensure_ascii=False).encode()


def an_event(number: int, **changes: Any) -> bytes:
    """Return the body of a report about one event."""
    event = {"event_id": f"e{number}", "actor_type": "tutor", "actor_id": "t1", "event_type": "login"}
    return json.dumps(event | {"occurred_at": "2026-03-01T10:00:00Z"} | changes).encode()


def in_pieces(body: bytes, size: int) -> tuple[bytes, ...]:
    """Return a body cut up, as a stream brings it."""
    return tuple(body[start : start + size] for start in range(0, len(body), size))


def _header(a: Armoury, number: int) -> Request:
    good, name = a.valid(number), a.chance.choice(SIGNED)
    value = bytearray(good.header(name))
    match a.chance.randrange(6):
        case 0:
            return good.with_header(name)
        case 1:
            return good.with_header(name, a.chance.choice(GARBAGE))
        case 2:
            value[a.chance.randrange(len(value))] ^= 1 << a.chance.randrange(8)
        case 3:
            value = value[: a.chance.randrange(len(value))]
        case 4:
            return good.with_header(name, *a.chance.sample([bytes(value), a.chance.choice(GARBAGE)], 2))
        case 5:
            return good.with_header(
                name, bytes(value) + a.chance.choice([b"0", b"x" * 8_000, b"\x00", b"\xe9"])
            )
    return good.with_header(name, bytes(value))


def _doubled(a: Armoury, number: int) -> Request:
    good, name = a.valid(number), a.chance.choice(SIGNED)
    return good.with_header(name, *[good.header(name)] * a.chance.choice([2, 3, 200]))


def _key(a: Armoury, number: int) -> Request:
    return a.signed(a_body(number), f"msg_{number}", secret=a.foreign_secret)


def _signature(a: Armoury, number: int) -> Request:
    good = a.valid(number)
    text = good.header(SIGNED[2]).removeprefix(b"v1,")
    raw = base64.b64decode(text)
    shapes = [
        b"v2," + text, b"V1," + text, b"v1a," + text, b"v1 " + text, text, b"v1," + text.rstrip(b"="), b"v1," + raw,
        b"v1," + raw.hex().encode(), b"v1," + base64.b32encode(raw), b"v1," + base64.b85encode(raw),
        b"v1," + text[::-1], b"v1," + text.swapcase(), b"v1,\xef\xbb\xbf" + text, b"v1, " + text, b"v1,," + text,
        b"\tv1," + text, b" ".join([b"v1,AAAA"] * 16 + [b"v1," + text]), b"v1,%s,%s" % (text, text), b"v1,=" + text,
    ]  # fmt: skip
    return good.with_header(SIGNED[2], a.chance.choice(shapes))


def _stamp(a: Armoury, number: int) -> Request:
    now = int(a.now.timestamp())
    shapes = [
        str(now - 301), str(now + 301), str(now - 86_400), str(now * 1_000), f"{now}.9", f"{now}.0", f"+{now}",
        f" {now}", f"{now} ", f"-{now}", "NaN", "inf", "1e9", f"{now:.3e}", f"{now:x}", f"{now}"[:5], f"{now:,}",
        *("".join(chr(zero + int(digit)) for digit in str(now)) for zero in (0x660, 0xFF10)),
        a.now.isoformat(), "", "0", "9" * 13, f"{now}" * 3,
    ]  # fmt: skip
    return a.signed(a_body(number), f"msg_{number}", stamp=a.chance.choice(shapes))


def _identifier(a: Armoury, number: int) -> Request:
    shapes = [
        "",
        ".",
        "..",
        "a.b",
        "../x",
        "/etc/passwd",
        "a b",
        "a\n",
        "é",
        "١",
        "x" * 129,
        "a\\b",
        "%2e",
        "a\x00",
        ":",
    ]
    return a.signed(a_body(number), a.chance.choice(shapes))


def _body(a: Armoury, number: int) -> Request:
    good = a.valid(number)
    body, place = good.body, a.chance.randrange(len(good.body))
    flipped = bytes([body[place] ^ (1 << a.chance.randrange(8))])
    text, tail = body.decode(), a.chance.choice([b" ", b"\x00", b"\n", b"}"])
    bodies = [
        body[:place] + flipped + body[place + 1 :], body[:place], body + tail, b"", body[::-1], body * 2,
        text.encode("utf-16"), text.encode("latin-1"), text.encode("utf-7"), b"\xef\xbb\xbf" + body, b"\xff" * 500,
        b"[" * 5_000, b'{"data":' * 5_000, b"x" * a.chance.randrange(1, 64 * 1024),
    ]  # fmt: skip
    return good.with_body(*in_pieces(a.chance.choice(bodies), a.chance.choice([1_000, 64, 100_000])))


@cache
def _bomb() -> bytes:
    return gzip.compress(b"0" * 5_000_000, mtime=0)


def _packed(a: Armoury, number: int) -> Request:
    good = a.valid(number)
    packed = a.chance.choice([gzip.compress(good.body, mtime=0), _bomb(), good.body[:-1]])
    return good.with_header(b"content-encoding", a.chance.choice([b"gzip", b"br", b"gzip, gzip"])).with_body(
        packed
    )


def _too_large(a: Armoury, number: int) -> Request:
    size = LARGEST_BODY_BYTES + a.chance.choice([1, 2, 1_000, 65_536, 300_000])
    body = b'{"x": "' + b"x" * (size - 9) + b'"}'
    return a.signed(body, f"msg_{number}").with_body(*in_pieces(body, a.chance.choice([4_096, 65_536, size])))


def _method(a: Armoury, number: int) -> Request:
    return replace(a.valid(number), method=a.chance.choice(METHODS))


def _path(a: Armoury, number: int) -> Request:
    return replace(a.valid(number), path=a.chance.choice(PATHS))


def _of_another(a: Armoury, number: int) -> Request:
    good, other = a.valid(number), a.valid(number + 1_000_000)
    name = a.chance.choice([SIGNED[0], SIGNED[2]])
    return good.with_header(name, other.header(name))


def _track_key(a: Armoury, number: int) -> Request:
    true = a.track_key
    keys = [
        "",
        "ck_",
        true[:-1],
        true + "A",
        true.upper(),
        true[3:],
        "ck_" + "A" * 43,
        "x" * 8_000,
        *a.powerless_keys,
    ]
    headers = [f"Bearer {key}" for key in keys] + [true, f"Basic {true}", "Bearer", f"Bearer\t{true}", ""]
    values = [a.chance.choice(headers).encode()] if a.chance.random() < 0.95 else []
    return a.tracked(an_event(number)).with_header(b"authorization", *values)


def _track_body(a: Armoury, number: int) -> Request:
    bodies = [
        b"", b"{}", b"[]", b"null", b"NaN", b"\xff\xfe", b"[" * 5_000, b'{"events":' * 5_000, b'{"events": []}',
        an_event(number)[:-1], an_event(number, occurred_at="NaN"), an_event(number, actor_type="admin"),
        an_event(number, occurred_at=1e9), an_event(number, actor_id="a\x00b"), an_event(number, event_id="x" * 129),
        an_event(number).decode().encode("utf-16"), gzip.compress(an_event(number), mtime=0), b'{"a": 1e999}',
        b'{"x": "' + b"x" * LARGEST_TRACK_BYTES + b'"}', b'{"events": [' + b"{}," * 500 + b"{}]}",
    ]  # fmt: skip
    return a.tracked(b"").with_body(*in_pieces(a.chance.choice(bodies), 65_536))


ATTACKS: dict[str, Callable[[Armoury, int], Request]] = {
    "a signed header changed, missing or huge": _header,
    "a signed header given more than once": _doubled,
    "signed with another key": _key,
    "a signature of another version or encoding": _signature,
    "a time stamp too far or malformed, truly signed": _stamp,
    "an id that is no file name, truly signed": _identifier,
    "a body altered, cut, nested or encoded otherwise": _body,
    "a body packed": _packed,
    "a body too large, truly signed": _too_large,
    "another method": _method,
    "another path": _path,
    "a header of another message": _of_another,
    "track: no key, or one without the right": _track_key,
    "track: a body without a valid event": _track_body,
}
"""Every way to spoil a request. What comes out is never authentic, or is no request that any door takes."""


def attacks(armoury: Armoury, *, seed: int, count: int) -> Iterator[Request]:
    """Return so many attacks, each kind in turn. Each is drawn from the seed and its own number."""
    kinds = list(ATTACKS)
    for number in range(count):
        armoury.chance = random.Random(f"{seed}:{number}")
        kind = kinds[number % len(kinds)]
        valid = armoury.valid(number)
        request = valid
        while request.essence == valid.essence:
            request = ATTACKS[kind](armoury, number)
        yield replace(request, attack=kind)
