"""Files of the state folder that nobody's gate guards: logs, reports, temporary files. Texts in them, and out of them.

What belongs here: any file. What does not: Postgres, the lake's files, the landing and the outbox, which have gates of
their own, and the simulated marketplace, which is a source and not ours.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from data.settings import Settings
from data.traces import Traces

GATED = ("postgres", "duckdb_extensions", "landing", "outbox", "world")
PACKED = (".parquet", ".gz", ".zip")
"""What cannot be changed in place: such a file is removed if it holds a text."""
CHUNK = 8_000_000


def loose_files(settings: Settings, *, leave_out: Path) -> Iterator[Path]:
    """Give every file of the state folder that no gate guards, but one."""
    gated = {settings.state / name for name in GATED}
    gated |= {Path(path) for path in (settings.lake_path, settings.personal_path)}
    for folder, inner, names in os.walk(settings.state):
        inner[:] = sorted(name for name in inner if Path(folder, name) not in gated)
        for name in sorted(names):
            file = Path(folder, name)
            if file != leave_out and file.is_file() and not file.is_symlink():
                yield file


def holds(file: Path, traces: Traces) -> bool:
    """Tell whether a text stands in a file, packed ones included. A file that is gone meanwhile holds nothing."""
    try:
        return any(traces.stand_in(text) for text in _texts(file, traces))
    except FileNotFoundError:
        return False


def clear(file: Path, traces: Traces) -> None:
    """Overwrite what stands in a file in place, so that whoever has it open goes on writing; remove a packed one."""
    if file.name.endswith(PACKED):
        file.unlink(missing_ok=True)
        return
    with file.open("r+b") as opened:
        content = opened.read()
        masked = content
        for text in traces.spelled:
            masked = masked.replace(text.encode(), b"*" * len(text.encode()))
        if masked != content:
            opened.seek(0)
            opened.write(masked)
            opened.flush()
            os.fsync(opened.fileno())


def _texts(file: Path, traces: Traces) -> Iterator[str]:
    if file.suffix == ".parquet":
        yield from _cells(file)
        return
    overlap = max((len(text.encode()) for text in traces.spelled), default=0)
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as opened:
        kept = b""
        while chunk := opened.read(CHUNK):
            yield (kept + chunk).decode("utf-8", "replace")
            kept = chunk[-overlap:] if overlap else b""


def _cells(file: Path) -> Iterator[str]:
    for name, series in pl.read_parquet(file).to_dict().items():
        yield name
        kept = series if series.dtype == pl.String else series.map_elements(str, return_dtype=pl.String)
        yield "\n".join(kept.drop_nulls().to_list())
