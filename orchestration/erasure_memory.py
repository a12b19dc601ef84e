"""What an erasure that is under way searches for, kept until it is proved: a killed one must find the same again.

What belongs here: one file per person in the state folder, readable by its owner only, removed at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.contracts.personal import Person
from data.settings import Settings
from data.traces import Traces, longest_first

FOLDER = "erasing"


@dataclass(frozen=True)
class Memory:
    """The file of one erasure. It is there from the first step to the proof."""

    settings: Settings
    person: Person

    @property
    def file(self) -> Path:
        """Where it lies. Named by a digest, since an identifier may be no file name."""
        name = hashlib.sha256(str(self.person).encode()).hexdigest()[:24]
        return self.settings.state / FOLDER / f"{name}.json"

    @property
    def is_there(self) -> bool:
        """Whether an erasure is under way, or was killed."""
        return self.file.exists()

    @property
    def before(self) -> dict[str, int]:
        """What the first run had found by place, or nothing."""
        return dict(self._read().get("before", {}))

    def with_known(self, traces: Traces, names: tuple[str, ...]) -> tuple[Traces, tuple[str, ...]]:
        """Return these texts and names together with those that are kept here."""
        kept = self._read()
        merged = Traces(
            identifier=traces.identifier,
            own=tuple(sorted({*traces.own, *kept.get("own", ())})),
            told=tuple(sorted({*traces.told, *kept.get("told", ())})),
            shared_count=max(traces.shared_count, kept.get("shared_count", 0)),
            short_count=max(traces.short_count, kept.get("short_count", 0)),
        )
        return merged, longest_first((*names, *kept.get("names", ())))

    def keep(self, traces: Traces, names: tuple[str, ...], before: dict[str, int]) -> None:
        """Write down what is searched for, durably, before anything is cleared."""
        content = {
            "own": traces.own,
            "told": traces.told,
            "shared_count": traces.shared_count,
            "short_count": traces.short_count,
            "names": names,
            "before": before,
        }
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        draft = self.file.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as opened:
            json.dump(content, opened)
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(self.file)

    def forget(self) -> None:
        """Remove the file. Safe to repeat."""
        self.file.unlink(missing_ok=True)
        self.file.with_suffix(".draft").unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        return dict(json.loads(self.file.read_text())) if self.is_there else {}
