"""What the API does wrong: passing failures are sat out, permanent ones are not, and no record is lost."""

import gzip
import random
import socket
import struct
import threading
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from pull_builders import (
    CLOCK,
    PASSING,
    FakeRails,
    Fault,
    a_call,
    answering,
    calls,
    client_of,
    pull_calls,
    read_all,
    saying,
    stored,
    versions,
)

from assets.ingest.budget import Budget
from assets.ingest.rails import (
    ATTEMPTS,
    FIRST_WAIT,
    LONGEST_WAIT,
    OutOfTime,
    PassingFailure,
    PermanentFailure,
    _pause,
)
from data.lake.writer import LakeWriter

ROWS = calls(60)
REQUESTS = 7
"""How many answers it takes to read them: each page of ten begins with the last row of the one before."""


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
@pytest.mark.parametrize("seed", range(5))
def test_a_passing_failure_is_sat_out_and_nothing_is_missing(fault: Fault, seed: int) -> None:
    generator = random.Random(seed)
    faults = dict.fromkeys(generator.sample(range(8), k=generator.randrange(1, 5)), fault)
    api = FakeRails(ROWS, faults)
    assert versions(read_all(client_of(api))) == versions(ROWS)
    assert len(api.requests) == REQUESTS + len(faults)


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_a_failure_that_does_not_pass_ends_the_pull_after_the_last_attempt(fault: Fault) -> None:
    api = FakeRails(ROWS, dict.fromkeys(range(2, 100), fault))
    with pytest.raises(PassingFailure, match="/api/v1/inbound_calls"):
        read_all(client_of(api))
    assert len(api.requests) == 2 + ATTEMPTS


@pytest.mark.parametrize("seed", range(5))
def test_a_pull_through_all_kinds_of_failures_gives_the_same_table(lake: LakeWriter, seed: int) -> None:
    generator = random.Random(seed)
    api = FakeRails(ROWS, {number: generator.choice(list(PASSING.values())) for number in range(0, 60, 2)})
    account = pull_calls(lake, api, page_size=7)
    assert {row[0] for row in stored(lake)} == {row["call_id"] for row in ROWS}
    assert len(stored(lake)) == account.total("loaded") == 60
    assert account.total("read") == account.total("loaded") + account.total("duplicate")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 422, 301, 302, 204, 206])
def test_a_permanent_failure_is_not_asked_again(status: int) -> None:
    api = FakeRails(ROWS, dict.fromkeys(range(1, 100), answering(status)))
    with pytest.raises(PermanentFailure, match=f"answered {status}"):
        read_all(client_of(api))
    assert len(api.requests) == 2


def test_a_token_that_expires_on_the_way_names_the_setting_and_keeps_what_was_read(lake: LakeWriter) -> None:
    api = FakeRails(ROWS, {3: answering(401)})
    with pytest.raises(PermanentFailure, match="CHALKLINE_RAILS_TOKEN") as refusal:
        pull_calls(lake, api)
    assert "secret-token" not in str(refusal.value)
    assert len(api.requests) == 4
    assert {row[0] for row in stored(lake)} <= {row["call_id"] for row in ROWS}
    api.faults.clear()
    pull_calls(lake, api)
    assert len(stored(lake)) == 60


WAITS: list[tuple[str, timedelta | None]] = [
    ("0", timedelta(0)),
    ("7", timedelta(seconds=7)),
    (" 7 ", timedelta(seconds=7)),
    ("120", timedelta(seconds=120)),
    ("121", timedelta(seconds=121)),
    ("999999999", timedelta(seconds=999_999_999)),
    ("Sun, 01 Mar 2026 12:00:30 GMT", timedelta(seconds=30)),
    ("Sun, 01 Mar 2026 12:00:30 -0000", timedelta(seconds=30)),
    ("Sun, 01 Mar 2026 13:00:30 +0100", timedelta(seconds=30)),
    ("Sun, 01 Mar 2026 11:00:00 GMT", timedelta(0)),
    ("Mon, 02 Mar 2026 12:00:00 GMT", timedelta(days=1)),
    ("", None),
    ("soon", None),
    ("-5", None),
    ("1.5", None),
    ("1e3", None),
    ("\u00b2", None),
    ("9" * 5_000, None),
    ("Sun, 01 Mar 99999999999999999999 12:00:30 GMT", None),
    ("Sun, 41 Mar 2026 12:00:30 GMT", None),
    ("Mon, 01 Jan 1900 00:00:00 +1400", timedelta(0)),
    ("Fri, 31 Dec 9999 23:59:59 -1400", None),
]


@pytest.mark.parametrize(("text", "wait"), WAITS)
def test_retry_after_is_read_in_every_spelling(text: str, wait: timedelta | None) -> None:
    def too_many(_: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers=[(b"Retry-After", text.encode("latin-1"))])

    with pytest.raises(PassingFailure) as failure:
        read_all(client_of(too_many))
    assert failure.value.retry_after == wait
    pause = _pause(failure.value, 1)
    if wait is None:
        assert pause is not None
        assert 0 < pause < 1
    elif wait <= LONGEST_WAIT:
        assert pause == wait.total_seconds()
    else:
        assert pause is None
        assert not failure.value.is_worth_waiting


@pytest.mark.parametrize("text", ["121", "3600", "Mon, 02 Mar 2026 12:00:00 GMT"])
def test_a_wait_longer_than_the_limit_is_not_waited_for(text: str) -> None:
    api = FakeRails(ROWS, {1: answering(429, retry_after=text)})
    with pytest.raises(PassingFailure):
        read_all(client_of(api))
    assert len(api.requests) == 2


def test_pauses_between_attempts_grow_and_end_with_the_last_attempt() -> None:
    waited: list[float] = []
    api = FakeRails(ROWS, dict.fromkeys(range(100), answering(503)))
    with pytest.raises(PassingFailure):
        read_all(client_of(api, budget=Budget(wait=waited.append)))
    assert len(waited) == ATTEMPTS - 1 == len(api.requests) - 1
    bounds = [FIRST_WAIT.total_seconds() * 2**number for number in range(ATTEMPTS - 1)]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(waited, bounds, strict=True))


def test_the_request_says_who_asks_and_for_what() -> None:
    api = FakeRails(ROWS)
    read_all(client_of(api), since=CLOCK.now().replace(tzinfo=None))
    [request] = api.requests
    assert request.url.path == "/api/v1/inbound_calls"
    assert dict(request.url.params) == {
        "page": "1",
        "per_page": "10",
        "updated_since": "2026-03-01T12:00:00.000Z",
    }
    assert request.headers["authorization"] == "Token token=secret-token"


def packed(content: bytes, how: str = "gzip") -> Fault:
    return lambda _request, _answer: httpx.Response(200, headers={"Content-Encoding": how}, content=content)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (packed(gzip.compress(bytes(20_000_000))), "larger than 1,000,000 bytes"),
        (saying(b" " * 2_000_000 + b"{}"), "larger than 1,000,000 bytes"),
        (packed(gzip.compress(gzip.compress(bytes(20_000_000))), "gzip, gzip"), "packed as 'gzip, gzip'"),
        (packed(b"anything", "br"), "packed as 'br'"),
    ],
    ids=["gzip bomb", "long body", "bomb in a bomb", "not asked for"],
)
def test_a_body_that_would_fill_the_memory_is_a_failure_of_the_source(fault: Fault, words: str) -> None:
    api = FakeRails(ROWS, dict.fromkeys(range(100), fault))
    with pytest.raises(PassingFailure, match=words):
        read_all(client_of(api, rails_body_max_bytes=1_000_000))
    assert len(api.requests) == ATTEMPTS


@pytest.mark.parametrize(("pages_before", "error"), [(0, PassingFailure), (2, OutOfTime)])
def test_a_body_that_drips_ends_with_the_time(pages_before: int, error: type[Exception]) -> None:
    """Whoever has given pages may only have more than fits; whoever has given nothing has failed."""
    watch = {"now": 0.0}

    def drip(_: httpx.Request, answer: httpx.Response) -> httpx.Response:
        def letters() -> Iterator[bytes]:
            for letter in answer.content:
                watch["now"] += 1
                yield bytes([letter])

        return httpx.Response(200, content=letters())

    api = FakeRails(ROWS, dict.fromkeys(range(pages_before, 100), drip))
    with pytest.raises(error, match="still coming after 30 seconds"):
        read_all(client_of(api, budget=Budget(30, stopwatch=lambda: watch["now"], wait=lambda _: None)))
    assert watch["now"] <= 32
    assert len(api.requests) == pages_before + 1


@pytest.mark.parametrize(
    "change", [{"rails_url": "http://[::1"}, {"rails_url": "ftp://rails"}, {"rails_url": "rails"}]
)
def test_an_address_that_is_none_is_a_permanent_failure(change: dict[str, str]) -> None:
    with pytest.raises(PermanentFailure, match="CHALKLINE_RAILS_URL"):
        read_all(client_of(httpx.HTTPTransport(), **change))


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


WIRE: dict[str, bytes | None] = {
    "reset before an answer": None,
    "hung up without a word": b"",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "cut in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "cut in the body": b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"inbound_calls": [',
    "a length too short": b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"inbound_calls": []}',
    "a length that is none": b'HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{"inbound_calls": []}',
    "compression that is none": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
}


@pytest.mark.parametrize("answer", WIRE.values(), ids=WIRE.keys())
def test_a_connection_that_breaks_on_the_wire_is_a_passing_failure(answer: bytes | None) -> None:
    good = FakeRails.answer([a_call(1)])
    link = good.headers["link"].encode()
    whole = b"HTTP/1.1 200 OK\r\nConnection: close\r\nLink: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        link,
        len(good.content),
        good.content,
    )
    served = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            nonlocal served
            for number in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65_536)
                    served += 1
                    if number == 0 and answer is None:
                        reset(connection)
                    else:
                        connection.sendall(whole if number else answer or b"")

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        try:
            assert read_all(client_of(httpx.HTTPTransport(), rails_url=address)) == [a_call(1)]
        finally:
            thread.join(timeout=10)
    assert served == 2
