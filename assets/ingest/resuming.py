"""Which runs are the same import, and where a run begins.

What belongs here: the identity of an import. What does not: how its progress is kept (data.lake.imports).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from assets.ingest.mapping import Mapping
from data.contracts import Correction
from data.lake.imports import FinishedChunk, finished_chunks, forget_chunks
from data.lake.writer import LakeWriter
from data.settings import PROJECT_ROOT

DECIDED_BY = ("assets/ingest", "data/contracts")
"""Folders of the code that makes records of a file and judges them: another version of it is another import."""


def import_id(file: Path, mapping: Mapping, corrections: Sequence[Correction], *, chunk_rows: int) -> str:
    """Return the identity of an import: equal for runs that would cut the same records into the same chunks.

    Made of the content of the file and of its lookups, of the mapping, the corrections, the contracts and the code.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in (file, *(mapping.lookup_file(name, file) for name in mapping.lookups)):
        digest.update(_digest_of(path).encode())
    digest.update(mapping.model_dump_json().encode())
    digest.update(repr((tuple(corrections), chunk_rows, _code_digest())).encode())
    return digest.hexdigest()


def chunks_to_keep(
    lake: LakeWriter, identity: str, *, record_count: int, from_start: bool
) -> list[FinishedChunk]:
    """Return the chunks that a stopped run of this import left behind, which need not be read again.

    None if it is to begin anew: because somebody says so, or because it is complete. A complete import that is run
    again reads everything and finds duplicates: what it says then is looked up, not remembered.
    """
    found = finished_chunks(lake, identity)
    is_complete = sum(chunk.read_count for chunk in found) == record_count
    if found and (from_start or is_complete):
        forget_chunks(lake, identity)
        return []
    return found


def _digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def _code_digest() -> str:
    files = sorted(file for folder in DECIDED_BY for file in (PROJECT_ROOT / folder).glob("*.py"))
    return hashlib.sha256("".join(_digest_of(file) for file in files).encode()).hexdigest()
