"""The landing: where messages lie safely before anybody looks at them.

A message is one file named by its id: written under a temporary name, synced, then linked into the inbox in
one step that fails if the id is known. Takers claim messages by moving them; what was taken lies in the archive
for ever, so a message that is delivered again, however late, lands on itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from data.failpoints import failpoint

MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
WEBHOOK_SOURCE = "rails.webhook"
"""Feed of the marketplace's webhooks; also of drops that were written before a drop named its feed."""
TRACK_SOURCE = "apps.track"
"""Feed of what the apps report themselves."""

Verdict = Literal["stored", "duplicate", "conflict"]


@dataclass(frozen=True)
class Drop:
    """One message as it was received: the body is kept byte for byte. source names the feed that brought it.

    digest is set once a body was rewritten: that of the body as it came, by which a redelivery is recognised.
    """

    message_id: str
    received_at: datetime
    body: bytes
    source: str = WEBHOOK_SOURCE
    digest: str | None = None


class Landing:
    """The folder of messages: inbox, claimed, archive. Safe for many processes at once."""

    def __init__(self, folder: Path) -> None:
        self._temporary = folder / "temporary"
        self._inbox = folder / "inbox"
        self._claimed = folder / "claimed"
        self._archive = folder / "archive"
        for place in (self._temporary, self._inbox, self._claimed, self._archive):
            place.mkdir(parents=True, exist_ok=True)

    def store(self, drop: Drop) -> Verdict:
        """Keep a message durably. Returns only when it would survive a crash.

        The same id with the same body is a duplicate; with another body a conflict, and nothing is written.
        """
        if not MESSAGE_ID.fullmatch(drop.message_id):
            raise ValueError(f"message id {drop.message_id[:140]!r} is not made of letters, digits, - and _")
        known = self.find(drop.message_id)
        if known is not None:
            return self._compare(known, drop)
        temporary = self._temporary / uuid.uuid4().hex
        final = self._inbox / f"{drop.message_id}.json"
        try:
            _write_durably(temporary, _envelope(drop))
            failpoint("landing.written")
            os.link(temporary, final)
            failpoint("landing.linked")
            if self._was_taken(drop.message_id, before=temporary):
                final.unlink(missing_ok=True)
                return self._compare(self.find(drop.message_id), drop)
        except FileExistsError:
            return self._compare(self.find(drop.message_id), drop)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(self._inbox)
        return "stored"

    def find(self, message_id: str) -> Drop | None:
        """Return a message wherever it lies, or None if it never came."""
        for _ in range(3):  # it moves twice at most while it is looked for
            place = self._place_of(message_id)
            if place is None:
                return None
            with contextlib.suppress(FileNotFoundError):
                return _read(place)
        raise FileNotFoundError(f"message {message_id} is removed from the landing while it is read")

    def waiting(self) -> list[str]:
        """Return the ids that nobody has taken in yet, claimed but unfinished ones included, in order."""
        places = [*self._inbox.glob("*.json"), *self._claimed.glob("*/*.json")]
        return sorted(place.stem for place in places)

    def claim(self, *, limit: int = 5_000) -> Iterator[Drop]:
        """Take up to limit messages, oldest claim first; an unfinished claim of a killed process is taken up again.

        Call only while holding the lock of the taker: claims are told apart by process, not by age.
        """
        leftovers = sorted(self._claimed.glob("*/*.json"))
        fresh = sorted(self._inbox.glob("*.json"))[: max(0, limit - len(leftovers))]
        if fresh:
            folder = self._claimed / uuid.uuid4().hex
            folder.mkdir()
            for place in fresh:
                os.rename(place, folder / place.name)
                failpoint("landing.half_claimed")
            _sync_folder(folder)
            leftovers += sorted(folder.glob("*.json"))
        for place in leftovers[:limit]:
            yield _read(place)

    def finish(self, message_ids: list[str]) -> None:
        """Move claimed messages to the archive. Safe to repeat."""
        wanted = set(message_ids)
        for place in sorted(self._claimed.glob("*/*.json")):
            if place.stem in wanted:
                shelf = self._shelf(place.stem)
                shelf.mkdir(parents=True, exist_ok=True)
                os.rename(place, shelf / place.name)
                failpoint("landing.half_archived")
        for folder in self._claimed.iterdir():
            if not any(folder.iterdir()):
                folder.rmdir()

    def messages(self) -> Iterator[Drop]:
        """Give every message that lies here, taken in or not."""
        for place in self._places():
            with contextlib.suppress(FileNotFoundError):
                yield _read(place)

    def rewrite(self, change: Callable[[bytes], bytes], *, only: Collection[str] | None = None) -> int:
        """Replace bodies by what change makes of them, in all messages or in those with these ids. Safe to repeat.

        Returns how many changed. A message that comes again is still known by the digest of its first body. Call only
        while holding the lock of the taker. What a killed receiver left half-stored is dropped if it would change.
        """
        changed = 0
        for place in self._places() if only is None else filter(None, map(self._place_of, only)):
            with contextlib.suppress(FileNotFoundError):
                drop = _read(place)
                body = change(drop.body)
                if body != drop.body:
                    self._replace(place, replace(drop, body=body, digest=drop.digest or _digest(drop.body)))
                    changed += 1
        for place in self._temporary.iterdir() if only is None else ():
            with contextlib.suppress(FileNotFoundError):
                body = place.read_bytes().partition(b"\n")[2]
                if change(body) != body:
                    place.unlink()
                    changed += 1
        return changed

    def _replace(self, place: Path, drop: Drop) -> None:
        draft = self._temporary / uuid.uuid4().hex
        _write_durably(draft, _envelope(drop))
        draft.replace(place)
        _sync_folder(place.parent)

    def _places(self) -> list[Path]:
        return sorted(
            [*self._inbox.glob("*.json"), *self._claimed.glob("*/*.json"), *self._archive.glob("*/*.json")]
        )

    def _place_of(self, message_id: str) -> Path | None:
        # Messages only ever move forward, so looking in the order of their way never misses one.
        waiting = self._inbox / f"{message_id}.json"
        if waiting.exists():
            return waiting
        return next((place for place in self._taken_places(message_id) if place.exists()), None)

    def _taken_places(self, message_id: str) -> Iterator[Path]:
        # Listed by name, not searched: claims are few, and this is asked twice for every message.
        name = f"{message_id}.json"
        for claim in os.listdir(self._claimed):
            yield self._claimed / claim / name
        yield self._shelf(message_id) / name

    def _was_taken(self, message_id: str, *, before: Path) -> bool:
        # A taker may have moved the same message on between our look and our link: then ours is the second one.
        for place in self._taken_places(message_id):
            with contextlib.suppress(FileNotFoundError):
                if not place.samefile(before):
                    return True
        return False

    def _compare(self, known: Drop | None, drop: Drop) -> Verdict:
        if known is None:
            raise FileNotFoundError(f"message {drop.message_id} is removed from the landing while it is read")
        if (known.digest or _digest(known.body)) != _digest(drop.body):
            return "conflict"
        # Whoever linked it may have died before the folder was synced, or be about to; and now it is acknowledged.
        _sync_folder(self._inbox)
        return "duplicate"

    def _shelf(self, message_id: str) -> Path:
        return self._archive / hashlib.sha256(message_id.encode()).hexdigest()[:2]


def _envelope(drop: Drop) -> bytes:
    head = {
        "message_id": drop.message_id,
        "received_at": drop.received_at.isoformat(),
        "source": drop.source,
    }
    if drop.digest is not None:
        head["digest"] = drop.digest
    return json.dumps(head).encode() + b"\n" + drop.body


def _read(place: Path) -> Drop:
    head, _, body = place.read_bytes().partition(b"\n")
    fields = json.loads(head)
    return Drop(
        fields["message_id"],
        datetime.fromisoformat(fields["received_at"]),
        body,
        fields.get("source", WEBHOOK_SOURCE),
        fields.get("digest"),
    )


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _write_durably(place: Path, content: bytes) -> None:
    with place.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
