"""Mail as files: what a deployment without a provider's key sends, for people to read in a folder.

What belongs here: one .eml and one .html for each message, and an index of them. What does not: delivery.
Files are named by the idempotency key, so a message that is sent again lands on itself.
"""

import fcntl
import hashlib
import html
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import cast

from notifications.message import RESERVED, Message, MessageKind
from notifications.senders.base import Receipt, Sender

NAME = re.compile(r"^(?P<number>\d{5})-.*-(?P<key>[0-9a-f]{12})\.eml$")


@dataclass(frozen=True)
class _Entry:
    number: int
    stem: str
    to: str
    subject: str
    kind: str
    at: str


class FileSender(Sender):
    """Writes messages into a folder, made when the first one comes. Several processes may share it."""

    def __init__(self, folder: Path, mail_from: str) -> None:
        self._folder = folder
        self._mail_from = mail_from
        self._known: dict[str, _Entry] = {}

    @property
    def name(self) -> str:
        """How this sender is called on pages and in logs."""
        return "outbox folder"

    def send(self, message: Message) -> Receipt:
        """Write the message and bring the index up to date. The same key again changes nothing."""
        self._folder.mkdir(parents=True, exist_ok=True)
        key = hashlib.sha256(message.idempotency_key.encode()).hexdigest()[:12]
        with self._alone():
            stem = self._stem_of(key)
            if stem is None:
                stem = f"{self._next_number():05}-{_slug(message.subject)}-{key}"
                _write(self._folder / f"{stem}.html", message.html.encode())
                # Last: the .eml is what says that the message is there.
                _write(self._folder / f"{stem}.eml", self._as_mail(message).as_bytes())
            self._write_index()
        return Receipt("sent", provider_id=f"{stem}.eml")

    def rewrite(self, change: Callable[[Message], Message]) -> int:
        """Let every mail in the folder be changed, file names and index too. Returns how many are not what they were.

        Safe to repeat, and to stop anywhere: an old file goes after the new one is there.
        """
        if not self._folder.is_dir():
            return 0
        changed = 0
        with self._alone():
            for draft in self._folder.glob(".*.draft"):
                draft.unlink()
            for place in sorted(self._folder.glob("*.eml")):
                if NAME.match(place.name):
                    changed += self._rewrite_one(place, change)
            self._known.clear()
            self._write_index()
        return changed

    def _rewrite_one(self, place: Path, change: Callable[[Message], Message]) -> bool:
        before = read_mail(place)
        after = change(before)
        stem = f"{place.name[:5]}-{_slug(after.subject)}-{place.stem[-12:]}"
        if after == before and stem == place.stem:
            return False
        _write(self._folder / f"{stem}.html", after.html.encode())
        _write(self._folder / f"{stem}.eml", self._as_mail(after).as_bytes())
        if stem != place.stem:
            place.with_suffix(".html").unlink(missing_ok=True)
            place.unlink()
        return True

    def stems(self) -> dict[str, str]:
        """Return the name of each mail's files by the key in it."""
        return {
            found["key"]: place.stem
            for place in sorted(self._folder.glob("*.eml"))
            if (found := NAME.match(place.name))
        }

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _stem_of(self, key: str) -> str | None:
        found = next(self._folder.glob(f"*-{key}.eml"), None)
        return found.stem if found is not None else None

    def _next_number(self) -> int:
        numbers = [int(found["number"]) for one in self._folder.iterdir() if (found := NAME.match(one.name))]
        return max(numbers, default=0) + 1

    def _as_mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage(policy=policy.SMTP)
        mail["From"] = self._mail_from
        mail["To"] = message.to
        mail["Subject"] = message.subject
        if message.composed_at is not None:
            mail["Date"] = format_datetime(message.composed_at)
        mail["X-Chalkline-Kind"] = message.kind
        mail["X-Chalkline-Key"] = message.idempotency_key
        for name, value in message.headers.items():
            mail[name] = value
        mail.set_content(message.text)
        mail.add_alternative(message.html, subtype="html")
        return mail

    def _write_index(self) -> None:
        present = {one.stem for one in self._folder.glob("*.eml") if NAME.match(one.name)}
        for stem in present - self._known.keys():
            self._known[stem] = _read_entry(self._folder / f"{stem}.eml")
        entries = [self._known[stem] for stem in present]
        rows = "\n".join(_row(entry) for entry in sorted(entries, key=lambda entry: -entry.number))
        page = INDEX.replace(
            "{{count}}", f"{len(entries)} {'mail' if len(entries) == 1 else 'mails'}"
        ).replace("{{rows}}", rows)
        _write(self._folder / "index.html", page.encode())


def _slug(subject: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")
    return words[:48].strip("-") or "mail"


def _write(path: Path, content: bytes) -> None:
    """Write whole or not at all: a reader never sees half a mail."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_mail(path: Path) -> Message:
    """Return the message that a mail file was made from."""
    mail = message_from_bytes(path.read_bytes(), policy=policy.default)
    parts = {kind: mail.get_body(preferencelist=(kind,)) for kind in ("plain", "html")}
    text, html_text = (part.get_content() if part is not None else "" for part in parts.values())
    own = {
        name: str(value)
        for name, value in mail.items()
        if name.lower() not in RESERVED and not name.startswith("X-Chalkline-")
    }
    return Message(
        to=str(mail["To"]),
        subject=str(mail["Subject"]),
        html=html_text,
        text=text,
        idempotency_key=str(mail["X-Chalkline-Key"]),
        kind=cast("MessageKind", str(mail["X-Chalkline-Kind"])),
        headers=own,
        composed_at=parsedate_to_datetime(mail["Date"]) if mail["Date"] else None,
    )


def _read_entry(path: Path) -> _Entry:
    mail = message_from_bytes(path.read_bytes(), policy=policy.default)
    at = parsedate_to_datetime(mail["Date"]).strftime("%Y-%m-%d %H:%M") if mail["Date"] else ""
    return _Entry(
        number=int(path.name[:5]),
        stem=path.stem,
        to=str(mail["To"]),
        subject=str(mail["Subject"]),
        kind=str(mail["X-Chalkline-Kind"]),
        at=at,
    )


def _row(entry: _Entry) -> str:
    told = {name: html.escape(value) for name, value in vars(entry).items() if isinstance(value, str)}
    return (
        f'<tr><td class="n">{entry.number}</td><td>{told["at"]}</td><td>{told["kind"]}</td>'
        f'<td>{told["to"]}</td><td><a href="{told["stem"]}.html">{told["subject"]}</a></td>'
        f'<td><a href="{told["stem"]}.eml">mail file</a></td></tr>'
    )


INDEX = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Outbox</title>
<style>
  :root { color-scheme: light dark; --ink: #22262a; --muted: #6a6f75; --line: #e6e4de; --accent: #1d6b5f; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e8e6e1; --muted: #a2a7ab; --line: #353a3e; --accent: #74c4b4; }
    body { background: #15181a; }
  }
  body { margin: 0 auto; padding: 32px 24px; max-width: 1000px; color: var(--ink);
         font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
  h1 { margin: 0 0 4px; font-size: 23px; }
  p { margin: 0 0 20px; color: var(--muted); }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; }
  th, td { padding: 8px 16px 8px 0; border-bottom: 1px solid var(--line); text-align: left;
           white-space: nowrap; font-variant-numeric: tabular-nums; }
  td:nth-child(5) { white-space: normal; min-width: 220px; }
  th { color: var(--muted); font-weight: 500; }
  .n { color: var(--muted); }
  a { color: var(--accent); }
</style>
</head>
<body>
<h1>Outbox</h1>
<p>{{count}}, newest first. No provider's key is set, so mail is kept here and reaches nobody.
Times are UTC.</p>
<div class="wide"><table>
<thead><tr><th></th><th>When</th><th>Kind</th><th>To</th><th>Subject</th><th></th></tr></thead>
<tbody>
{{rows}}
</tbody>
</table></div>
</body>
</html>
"""
