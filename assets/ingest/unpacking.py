"""Opens a file as lines of text: unpacked, decoded, and stopped before it can fill the machine.

What belongs here: compression, encodings, and the limits that end a bomb. What does not: columns and rows (reading.py).
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from data.settings import Settings

LONGEST_LINE = 1_000_000
"""Characters of one line. The longest text that a contract takes has 20,000."""
LOOKED_AT = 4_096
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
NO_TEXT = {
    b"PK\x03\x04": "a zip or an Excel workbook; save the sheet as CSV, or let the name end in .zip",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"\x1f\x8b": "packed with gzip; let the name end in .gz",
    b"PAR1": "a Parquet file; set read.format to parquet",
    b"%PDF": "a PDF; ask for the table as CSV",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
}
"""How files begin that are no text, and what to do with them."""
UNPACKING_ERRORS = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)


class UnreadableFile(ValueError):
    """A file cannot be read as told; the message names the file, the cause and the fix."""


@dataclass(frozen=True)
class Limits:
    """What one import may take: bytes of the unpacked file, columns, memory, and where it may spill."""

    max_bytes: int
    max_columns: int
    memory_limit: str
    spill_folder: Path

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Return the limits of a deployment."""
        return cls(
            max_bytes=settings.import_max_bytes,
            max_columns=settings.import_max_columns,
            memory_limit=settings.import_memory_limit,
            spill_folder=settings.state / "tmp",
        )


@contextmanager
def open_lines(file: Path, encoding: str, *, limits: Limits) -> Iterator[Iterator[str]]:
    """Open a file, plain or packed (.gz, .zip with one file in it), and give its lines with their ends.

    Raises UnreadableFile for what is no text of that encoding, is longer than the limits, or is broken.
    """
    try:
        with _unpacked(file, limits) as stream:
            buffered = io.BufferedReader(_Capped(stream, file, limits.max_bytes))
            _refuse_other_formats(file, buffered.peek(LOOKED_AT)[:LOOKED_AT], encoding)
            with io.TextIOWrapper(buffered, encoding=_without_mark(encoding), newline="") as text:
                yield _lines(file, text)
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            f"{file.name} is not {encoding}: byte {error.object[error.start]:#04x} cannot be read; "
            "set read.encoding (files saved by Excel are often cp1252)"
        ) from error
    except UNPACKING_ERRORS as error:
        raise UnreadableFile(f"{file.name} cannot be unpacked: {error}; send it again") from error


class _Capped(io.RawIOBase):
    """A stream that ends in an error once more has come out of it than is allowed."""

    def __init__(self, stream: BinaryIO, file: Path, most: int) -> None:
        self._stream, self._file, self._most = stream, file, most
        self._seen = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        taken = self._stream.read(len(buffer))
        self._seen += len(taken)
        if self._seen > self._most:
            raise too_large(self._file, self._most)
        buffer[: len(taken)] = taken
        return len(taken)


def too_large(file: Path, most: int) -> UnreadableFile:
    """Return the error of a file that is more than a deployment takes."""
    return UnreadableFile(
        f"{file.name} holds more than {most:,} bytes once it is unpacked; split it, "
        "or raise CHALKLINE_IMPORT_MAX_BYTES"
    )


@contextmanager
def _unpacked(file: Path, limits: Limits) -> Iterator[BinaryIO]:
    name = file.name.lower()
    if name.endswith(".zip"):
        with zipfile.ZipFile(file) as archive, _open_member(archive, file, limits) as stream:
            yield stream
    elif name.endswith(".gz"):
        with gzip.open(file) as stream:
            yield cast(BinaryIO, stream)
    else:
        with file.open("rb") as stream:
            yield stream


def _open_member(archive: zipfile.ZipFile, file: Path, limits: Limits) -> BinaryIO:
    # A Mac packs a shadow of every file beside it.
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/")
    ]
    if len(members) != 1:
        raise UnreadableFile(f"{file.name} holds {len(members)} files; a zip must hold exactly one CSV")
    (member,) = members
    if member.flag_bits & 1:
        raise UnreadableFile(f"{file.name} is locked with a password; unpack it first")
    if member.file_size > limits.max_bytes:
        raise too_large(file, limits.max_bytes)
    return cast(BinaryIO, archive.open(member))


def _refuse_other_formats(file: Path, head: bytes, encoding: str) -> None:
    for mark, what in NO_TEXT.items():
        if head.startswith(mark):
            raise UnreadableFile(f"{file.name} is no CSV but {what}")
    if encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
        return
    if head.startswith(UTF_16_MARKS):
        raise UnreadableFile(f"{file.name} is not {encoding} but UTF-16; set read.encoding to utf-16")
    if b"\x00" in head:
        raise UnreadableFile(f"{file.name} is no text: it holds zero bytes; export it as CSV")


def _without_mark(encoding: str) -> str:
    # A byte-order mark is no part of the first column's name.
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _lines(file: Path, text: io.TextIOWrapper) -> Iterator[str]:
    number = 0
    while line := text.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise UnreadableFile(
                f"{file.name}, line {number}: is longer than {LONGEST_LINE:,} characters; "
                "a quote or a line end is missing there, or it is no CSV"
            )
        yield line
