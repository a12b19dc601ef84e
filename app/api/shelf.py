"""The published version that answers come from, and its reader: one per version, shared by all requests."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import polars as pl

from app.problems import Problem
from data.lake.reader import LakeReader, ReaderTimeout
from data.operations import publications
from data.operations.store import Operations
from data.settings import Settings

KEPT_READERS = 2
"""While requests move to a new version, those under way still read the one before."""


@dataclass(frozen=True)
class Edition:
    """One published version, open for questions. Its answers never change, so its number tags them."""

    version: int
    as_of_date: date
    reader: LakeReader

    @property
    def tag(self) -> str:
        """The entity tag of every answer of this version."""
        return f'"{self.version}"'

    def ask(self, sql: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        """Return the rows of one query. Raises Problem (503) when it takes too long, or asks an older build."""
        try:
            return self.reader.query(sql, parameters)
        except ReaderTimeout as late:
            raise Problem(503, "Too slow", str(late), headers={"Retry-After": "60"}) from late
        except duckdb.CatalogException as missing:
            detail = (
                f"version {self.version} was published before this was built; the next nightly run brings it"
            )
            raise Problem(503, "Not built yet", detail, headers={"Retry-After": "3600"}) from missing


class Shelf:
    """Hands out the version that readers see now. Safe to share between threads."""

    def __init__(self, settings: Settings, operations: Operations) -> None:
        self._settings = settings
        self._operations = operations
        self._readers: OrderedDict[int, LakeReader] = OrderedDict()
        self._lock = threading.Lock()

    def current(self) -> Edition:
        """Return the current version. Raises Problem (503) before the first publication."""
        with self._operations.session() as session:
            row = publications.current(session)
        if row is None:
            detail = "no run has published yet; ask again after the next one"
            raise Problem(503, "Nothing published", detail, headers={"Retry-After": "300"})
        return Edition(row.publication_id, row.as_of_date, self._reader(row.lake_snapshot_id))

    def _reader(self, snapshot_id: int) -> LakeReader:
        with self._lock:
            if snapshot_id not in self._readers:
                self._readers[snapshot_id] = LakeReader(self._settings, snapshot_id=snapshot_id)
            self._readers.move_to_end(snapshot_id)
            while len(self._readers) > KEPT_READERS:
                # Not closed: a request may still hold it. It goes with the last one that does.
                self._readers.popitem(last=False)
            return self._readers[snapshot_id]
