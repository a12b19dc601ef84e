"""What the commands about ingestion share: a state to throw away, a clock that is set by hand."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from data.settings import Settings


@contextmanager
def scratch_settings() -> Iterator[Settings]:
    """Give the settings of a state folder that is thrown away."""
    # A short path: that of the server's socket has a limit. Open, since the embedded server runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="chalk-"))
    folder.chmod(0o755)
    try:
        yield Settings(_env_file=None, state=folder)  # type: ignore[call-arg]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Hands:
    """A clock that stands where it is put."""

    instant: datetime

    def now(self) -> datetime:
        """Return the instant."""
        return self.instant
