"""Who may speak to the receiver: time stamps, keys while they rotate, and a comparison that tells nothing."""

import ast
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from receiver_builders import FOREIGN_SECRET, NOON, OLD_SECRET, SECRET, signature

import app.receiver.signature
from app.receiver.signature import Unauthentic, verified_message_id

BODY = b'{"session_id": "s1"}'


def verify(secrets: list[str] | None = None, body: bytes = BODY, **changes: str) -> str:
    stamp = str(int(NOON.timestamp()))
    headers = {"id": "msg_1", "timestamp": stamp, "signature": signature(BODY, "msg_1", NOON)} | changes
    named = {f"webhook-{name}": value for name, value in headers.items()}
    return verified_message_id(named, body, secrets=secrets or [SECRET], now=NOON)


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_a_stamp_within_five_minutes_is_trusted(seconds: int) -> None:
    at = NOON + timedelta(seconds=seconds)
    assert verify(timestamp=str(int(at.timestamp())), signature=signature(BODY, "msg_1", at)) == "msg_1"


@pytest.mark.parametrize("seconds", [-301, 301, -86_400, 86_400, 10**10])
def test_a_stamp_further_away_is_not_on_either_side(seconds: int) -> None:
    stamp = int(NOON.timestamp()) + seconds
    with pytest.raises(Unauthentic, match="five minutes"):
        verify(timestamp=str(stamp))


STAMP = str(int(NOON.timestamp()))


@pytest.mark.parametrize(
    "stamp",
    ["", " ", "NaN", "nan", "inf", "-inf", "Infinity", "1e9", f"{STAMP}.9", f"{STAMP}.0", f"-{STAMP}", f"+{STAMP}",
     f" {STAMP}", f"{STAMP} ", f"{STAMP}\n", f"0x{int(STAMP):x}", f"{STAMP[:-3]}_{STAMP[-3:]}", "9" * 13, "9" * 5_000,
     STAMP.translate({ord("0") + n: 0x660 + n for n in range(10)}),
     STAMP.translate({ord("0") + n: 0xFF10 + n for n in range(10)}), "²³", "2026-03-01T12:00:00Z", "\x00", "None"],
)  # fmt: skip
def test_a_stamp_that_is_not_plain_digits_is_malformed(stamp: str) -> None:
    with pytest.raises(Unauthentic, match="webhook-timestamp is missing or malformed"):
        verify(timestamp=stamp)


def test_leading_zeros_are_signed_as_they_are_read() -> None:
    assert verify(timestamp=f"00{STAMP}") == "msg_1"


OLD, NEW = OLD_SECRET, SECRET
ROTATION: list[tuple[str, list[str], list[str], bool]] = [
    ("before: old key, old signature", [OLD], [OLD], True),
    ("before: old key, sender signs with both", [OLD], [NEW, OLD], True),
    ("overlap: both keys, old signature", [NEW, OLD], [OLD], True),
    ("overlap: both keys, new signature", [NEW, OLD], [NEW], True),
    ("overlap: both keys, both signatures", [NEW, OLD], [NEW, OLD], True),
    ("overlap: keys and signatures in any order", [OLD, NEW], [NEW, OLD], True),
    ("after: new key, both signatures", [NEW], [OLD, NEW], True),
    ("after: the old key has expired", [NEW], [OLD], False),
]


@pytest.mark.parametrize(
    ("keys", "signers", "passes"), [case[1:] for case in ROTATION], ids=[c[0] for c in ROTATION]
)
def test_keys_rotate_without_a_refused_message(keys: list[str], signers: list[str], passes: bool) -> None:
    given = " ".join(signature(BODY, "msg_1", NOON, signer) for signer in signers)
    if passes:
        assert verify(keys, signature=given) == "msg_1"
    else:
        with pytest.raises(Unauthentic, match="no signature matches"):
            verify(keys, signature=given)


GOOD = signature(BODY, "msg_1", NOON)


@pytest.mark.parametrize(
    "given",
    ["", " ", "v1", "v1,", ",", GOOD[3:], GOOD.replace("v1,", "v2,"), GOOD.replace("v1,", "v1a,"), GOOD.lower(),
     GOOD[:-1], GOOD + "=", GOOD + "\x00", GOOD.replace(",", ", "), "v1,é" + GOOD[4:], "\ud800", "v1," + "A" * 100_000,
     signature(BODY, "msg_1", NOON, FOREIGN_SECRET), signature(BODY, "msg_2", NOON),
     signature(BODY + b" ", "msg_1", NOON), signature(BODY, "msg_1", NOON + timedelta(seconds=1)),
     " ".join(["v1,x"] * 16 + [GOOD])],
)  # fmt: skip
def test_any_other_signature_is_refused(given: str) -> None:
    with pytest.raises(Unauthentic, match="no signature matches"):
        verify(signature=given)


def test_one_good_signature_among_strangers_is_enough() -> None:
    assert verify(signature=f"v1,x v2,y {GOOD}") == "msg_1"


@pytest.mark.parametrize(
    "message_id", ["", "a.b", "a/b", "../x", "a b", "é", "x" * 129, "msg_1\n", "msg_1\x00"]
)
def test_an_id_that_is_not_ours_to_keep_is_refused_even_when_signed(message_id: str) -> None:
    with pytest.raises(Unauthentic, match="webhook-id"):
        verify(id=message_id, signature=signature(BODY, message_id, NOON))


@pytest.mark.parametrize(
    "body", [b"", BODY + b"\n", BODY.replace(b"s1", b"s2"), b"\xff" + BODY, b"\xed\xa0\x80"]
)
def test_another_body_is_refused(body: bytes) -> None:
    with pytest.raises(Unauthentic):
        verify(body=body)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_a_refusal(missing: str) -> None:
    headers = {"webhook-id": "msg_1", "webhook-timestamp": STAMP, "webhook-signature": GOOD}
    del headers[missing]
    with pytest.raises(Unauthentic):
        verified_message_id(headers, BODY, secrets=[SECRET], now=NOON)


def test_signatures_are_compared_in_constant_time_only() -> None:
    tree = ast.parse(Path(app.receiver.signature.__file__).read_text())
    secret_names = {"expected", "given", "ours", "theirs", "signatures", "secret", "secrets", "matches"}

    def mentions(node: ast.AST) -> set[str]:
        return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} & secret_names

    compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare) and mentions(node)]
    calls: list[Any] = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    digests = [call for call in calls if ast.unparse(call.func) == "hmac.compare_digest"]
    methods = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}
    assert compared == []
    assert len(digests) == 1
    assert methods.isdisjoint({"startswith", "endswith", "find", "index", "count", "verify", "__eq__"})
