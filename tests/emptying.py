"""Empties a lake between two tests, or between two rounds of a long one."""

from __future__ import annotations

from functools import cache

from data.lake.writer import LakeWriter

CATALOGUES = ("lake", "pii")


def empty(lake: LakeWriter) -> LakeWriter:
    """Leave every table of a lake without rows, whatever was done with it, and return the lake."""
    _emptying_of(lake).empty()
    return lake


@cache
def _emptying_of(lake: LakeWriter) -> _Emptying:
    return _Emptying(lake)


class _Emptying:
    """Deletes what was written since the lake was last empty: most tests write two of its tables, or three."""

    def __init__(self, lake: LakeWriter) -> None:
        self._lake = lake
        self._empty_at = dict.fromkeys(CATALOGUES, -1)

    def empty(self) -> None:
        for catalogue in CATALOGUES:
            newest = self._newest(catalogue)
            if newest != self._empty_at[catalogue]:
                with self._lake.transaction():
                    for table in self._written(catalogue, newest):
                        self._lake.connection.execute(f"delete from {table}")
                self._empty_at[catalogue] = self._newest(catalogue)

    def _newest(self, catalogue: str) -> int:
        return int(self._lake.read(f"select id from {catalogue}.current_snapshot()").item())

    def _written(self, catalogue: str, newest: int) -> list[str]:
        """Return the tables that changed since the catalogue was empty; all of them where its log has a gap."""
        log = f"{catalogue}.snapshots() where snapshot_id > {self._empty_at[catalogue]}"
        has_gap = self._lake.read(f"select count(*) from {log}").item() < newest - self._empty_at[catalogue]
        written = self._lake.read(
            f"select table_name from ducklake_table_info('{catalogue}') where {has_gap} or table_id::varchar in "
            f"(select unnest(flatten(map_values(changes))) from {log})"
        )
        tables = self._lake.read(
            "select table_name, database_name || '.' || schema_name || '.' || table_name as name "
            f"from duckdb_tables() where database_name = '{catalogue}'"
        )
        return tables.join(written, on="table_name", how="semi")["name"].to_list()
