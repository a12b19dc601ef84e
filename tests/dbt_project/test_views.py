"""A view is defined again where its SQL changed, and only there: to the lake each definition is a new schema."""

from __future__ import annotations

import pytest

from tests.dbt_project.lake import Lake, day_vars, days

VIEW = "lake.staging.stg_quality__pull_cursors"
DAY = days(1)[0]


@pytest.fixture(scope="module")
def built(lake: Lake) -> Lake:
    build(lake)
    return lake


def build(lake: Lake) -> None:
    lake.dbt("run", "--select", "stg_quality__pull_cursors", run_vars=day_vars(DAY))


def definition(lake: Lake) -> tuple[str, str]:
    return lake.read(
        "select sql, comment from duckdb_views() where view_name = 'stg_quality__pull_cursors'"
    ).row(0)


def test_a_view_that_did_not_change_is_left_as_it_stands(built: Lake) -> None:
    before, newest = definition(built), built.writer.snapshot_id()
    build(built)
    assert definition(built) == before
    assert built.writer.snapshot_id() == newest, "no change of the lake's schema to be kept and read anew"


@pytest.mark.parametrize("comment", ["'of an older definition'", "null"])
def test_a_view_of_other_sql_is_defined_again(built: Lake, comment: str) -> None:
    before = definition(built)
    built.writer.connection.execute(f"create or replace view {VIEW} as select 1 as old")
    built.writer.connection.execute(f"comment on view {VIEW} is {comment}")
    build(built)
    assert definition(built) == before


def test_a_table_of_that_name_makes_way(built: Lake) -> None:
    before = definition(built)
    built.writer.connection.execute(f"drop view {VIEW}")
    built.writer.connection.execute(f"create table {VIEW} as select 1 as old")
    build(built)
    assert definition(built) == before


def test_a_view_that_stands_shows_what_came_to_the_table_below(built: Lake) -> None:
    built.writer.connection.execute("create or replace table lake.main.below as select 1 as a")
    built.writer.connection.execute("create or replace view lake.main.above as select * from lake.main.below")
    built.writer.connection.execute("alter table lake.main.below add column b integer default 2")
    assert built.read("select * from lake.main.above").to_dicts() == [{"a": 1, "b": 2}]
