import dataclasses
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from notifications.message import Message, UnsafeMessage, key_for, one_line, unsubscribe_headers
from notifications.senders import sender_for
from notifications.senders.file_outbox import FileSender
from notifications.senders.resend_api import ResendSender

MESSAGE = Message(
    to="kim@example.org",
    subject="Tutor was late: Zoë Müller",
    html="<p>late</p>",
    text="late",
    idempotency_key=key_for("alert", "e-1", "opened"),
    kind="alert",
    headers={"List-Unsubscribe": "<https://example.org/u>"},
    composed_at=datetime(2026, 3, 2, 12, tzinfo=UTC),
)


def another(number: int) -> Message:
    return dataclasses.replace(MESSAGE, idempotency_key=key_for("alert", f"e-{number}"))


def mails(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.glob("*.eml"))


# message

BREAKS = ["\r\nBcc: all@example.org", "\nX: y", "\r", "\x00", "\u2028", "\u2029", "\x85", "\x0b"]


@pytest.mark.parametrize("breaking", BREAKS)
@pytest.mark.parametrize("field", ["to", "subject", "idempotency_key", "value", "name"])
def test_nothing_breaks_out_of_its_header(field: str, breaking: str) -> None:
    changes: dict[str, Any] = {field: f"kim@example.org{breaking}"}
    if field in ("value", "name"):
        changes = {"headers": {f"X-A{breaking}": "v"} if field == "name" else {"X-A": f"v{breaking}"}}
    with pytest.raises(UnsafeMessage):
        dataclasses.replace(MESSAGE, **changes)


@pytest.mark.parametrize(
    "to", ["", "kim", "a@x.org, b@x.org", "a@x.org;b@x.org", "Kim <kim@x.org>", "@x.org", "kim@", "a b@x.org"]
)
def test_a_message_goes_to_one_plain_address(to: str) -> None:
    with pytest.raises(UnsafeMessage):
        dataclasses.replace(MESSAGE, to=to)


@pytest.mark.parametrize("name", ["Bcc", "to", "Subject", "From", "X Y", "X:Y", ""])
def test_a_message_cannot_set_the_senders_headers(name: str) -> None:
    with pytest.raises(UnsafeMessage):
        dataclasses.replace(MESSAGE, headers={name: "x"})


def test_an_endless_header_is_refused() -> None:
    with pytest.raises(UnsafeMessage, match="10000"):
        dataclasses.replace(MESSAGE, subject="x" * 10_000)


def test_keys_are_stable_opaque_and_tell_causes_apart() -> None:
    assert key_for("alert", "e-1", "opened") == key_for("alert", "e-1", "opened")
    assert len({key_for("a", "b", "c"), key_for("a", "bc"), key_for("a", "c", "b"), key_for("ab", "c")}) == 4
    assert "kim@example.org" not in key_for("digest", "kim@example.org", "2026-03-02")
    with pytest.raises(ValueError, match="empty"):
        key_for("alert", "")


def test_one_click_unsubscribing_is_https_only() -> None:
    assert unsubscribe_headers("https://x.org/u?t=1")["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    with pytest.raises(ValueError, match="https"):
        unsubscribe_headers("http://x.org/u")


def test_text_is_brought_onto_one_line() -> None:
    assert one_line(" a\r\nb\t\x00c ") == "a b c"
    assert one_line("x" * 50, longest=10) == "x" * 9 + "…"


# files


def test_without_a_key_mail_goes_to_the_outbox_folder(tmp_path: Path) -> None:
    assert isinstance(sender_for(None, tmp_path, "a@b.org"), FileSender)
    assert isinstance(sender_for("", tmp_path, "a@b.org"), FileSender)
    assert isinstance(sender_for("re_key", tmp_path, "a@b.org"), ResendSender)


def test_a_mail_becomes_a_file_that_mail_programs_read(tmp_path: Path) -> None:
    receipt = FileSender(tmp_path / "outbox", "Chalkline <c@example.org>").send(MESSAGE)
    (name,) = mails(tmp_path / "outbox")
    assert name.startswith("00001-tutor-was-late-zo")
    assert (receipt.outcome, receipt.provider_id) == ("sent", name)
    mail = message_from_bytes((tmp_path / "outbox" / name).read_bytes(), policy=policy.default)
    assert (mail["To"], mail["Subject"]) == (MESSAGE.to, MESSAGE.subject)
    assert mail["List-Unsubscribe"] == "<https://example.org/u>"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert (tmp_path / "outbox" / name).with_suffix(".html").read_text() == MESSAGE.html


def test_the_same_mail_twice_is_one_file(tmp_path: Path) -> None:
    first = FileSender(tmp_path, "c@example.org").send(MESSAGE)
    again = FileSender(tmp_path, "c@example.org").send(dataclasses.replace(MESSAGE, subject="other words"))
    assert first == again
    assert len(mails(tmp_path)) == 1


def test_several_senders_share_a_folder(tmp_path: Path) -> None:
    def send(number: int) -> None:
        FileSender(tmp_path, "c@example.org").send(another(number % 10))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(40)))
    assert [int(name[:5]) for name in mails(tmp_path)] == list(range(1, 11))
    assert "10 mails" in (tmp_path / "index.html").read_text()


def test_a_kill_before_the_mail_file_leaves_no_half_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = FileSender(tmp_path, "c@example.org")

    def killed(message: Message) -> Any:
        raise SystemExit(9)

    monkeypatch.setattr(sender, "_as_mail", killed)
    with pytest.raises(SystemExit):
        sender.send(MESSAGE)
    assert mails(tmp_path) == []
    FileSender(tmp_path, "c@example.org").send(MESSAGE)
    assert len(mails(tmp_path)) == len(list(tmp_path.glob("0*.html"))) == 1


def test_the_index_lists_every_mail_newest_first_and_escapes(tmp_path: Path) -> None:
    sender = FileSender(tmp_path, "c@example.org")
    sender.send(MESSAGE)
    sender.send(dataclasses.replace(another(2), subject="<script>alert(1)</script>"))
    page = (tmp_path / "index.html").read_text()
    assert "<script>" not in page
    assert page.index("&lt;script&gt;") < page.index("Zoë Müller")
    assert "2026-03-02 12:00" in page
    assert not list(tmp_path.glob(".*.draft"))


# Resend


class FakeResend:
    """The provider's HTTP side, as far as it matters: keys are remembered, answers can be told."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.accepted: dict[str, str] = {}
        self.requests: list[dict[str, Any]] = []

    def request(self, **call: Any) -> tuple[bytes, int, Mapping[str, str]]:
        self.requests.append(call)
        key = call["headers"]["Idempotency-Key"]
        body = json.dumps(call["json"], sort_keys=True)
        answer = self.answers.pop(0) if self.answers else (200, {"id": f"r-{len(self.accepted) or 1}"}, {})
        if answer == "time-out after accepting":
            self.accepted.setdefault(key, body)
            raise RuntimeError("Request failed: timed out")
        if isinstance(answer, Exception):
            raise answer
        status, told, headers = answer
        if status == 200:
            assert self.accepted.setdefault(key, body) == body
        content = told if isinstance(told, bytes) else json.dumps(told).encode()
        return content, status, {"content-type": "application/json", **headers}


def resend_sender(*answers: Any) -> tuple[ResendSender, FakeResend, list[float]]:
    fake = FakeResend(*answers)
    waits: list[float] = []
    sender = ResendSender("re_key", "Chalkline <c@example.org>", http_client=fake, sleep=waits.append)
    return sender, fake, waits


def test_a_mail_goes_to_resend_with_its_key_and_both_parts() -> None:
    sender, fake, _ = resend_sender()
    receipt = sender.send(MESSAGE)
    assert (receipt.outcome, receipt.provider_id) == ("sent", "r-1")
    (call,) = fake.requests
    assert call["headers"]["Idempotency-Key"] == MESSAGE.idempotency_key
    assert call["headers"]["Authorization"] == "Bearer re_key"
    assert call["json"]["to"] == ["kim@example.org"]
    assert (call["json"]["html"], call["json"]["text"]) == ("<p>late</p>", "late")
    assert call["json"]["headers"] == dict(MESSAGE.headers)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("time-out after accepting", "unknown"),
        (RuntimeError("Request failed: refused"), "unknown"),
        ((500, {"name": "application_error", "message": "x"}, {}), "unknown"),
        ((503, b"<html>", {"content-type": "text/html"}), "unknown"),
        ((200, b'{"id": "r-1', {}), "unknown"),
        ((200, {}, {}), "unknown"),
        ((409, {"name": "concurrent_idempotent_requests", "message": "x"}, {}), "unknown"),
        ((409, {"name": "invalid_idempotent_request", "message": "x"}, {}), "permanent"),
        ((429, {"name": "rate_limit_exceeded", "message": "x"}, {}), "passing"),
        ((401, {"name": "missing_api_key", "message": "x"}, {}), "passing"),
        ((403, {"name": "validation_error", "message": "domain is not verified"}, {}), "passing"),
        ((422, {"name": "validation_error", "message": "x"}, {}), "permanent"),
        ((400, {"name": "validation_error", "message": "x"}, {}), "permanent"),
        ((404, {"name": "not_found", "message": "x"}, {}), "permanent"),
    ],
)
def test_answers_are_told_apart(answer: Any, outcome: str) -> None:
    sender, _, _ = resend_sender(answer)
    receipt = sender.send(MESSAGE)
    assert receipt.outcome == outcome
    assert receipt.detail


def test_after_a_time_out_the_same_key_is_accepted_once() -> None:
    sender, fake, _ = resend_sender("time-out after accepting")
    assert sender.send(MESSAGE).outcome == "unknown"
    assert sender.send(MESSAGE).outcome == "sent"
    assert len(fake.accepted) == 1


@pytest.mark.parametrize(
    ("name", "headers", "seconds"),
    [
        ("rate_limit_exceeded", {"Retry-After": "7"}, 7.0),
        ("rate_limit_exceeded", {"ratelimit-reset": "3"}, 3.0),
        ("rate_limit_exceeded", {}, 1.0),
        ("rate_limit_exceeded", {"Retry-After": "Mon, 02 Mar 2026"}, 1.0),
        ("daily_quota_exceeded", {}, 3600.0),
    ],
)
def test_a_rate_limit_is_handed_on_as_the_provider_states_it(
    name: str, headers: dict[str, str], seconds: float
) -> None:
    sender, _, _ = resend_sender((429, {"name": name, "message": "x"}, headers))
    assert sender.send(MESSAGE).retry_after_seconds == seconds


def test_the_sender_keeps_the_pace_that_the_provider_states() -> None:
    used_up = {"ratelimit-remaining": "0", "ratelimit-reset": "2"}
    room = {"ratelimit-remaining": "4", "ratelimit-reset": "2"}
    sender, _, waits = resend_sender((200, {"id": "a"}, used_up), (200, {"id": "b"}, room))
    for number in range(3):
        assert sender.send(another(number)).outcome == "sent"
    assert waits == [2.0]
