"""The read gate: one published version, no file, no setting, no other database, no end without a limit."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import duckdb
import psycopg2
import pytest
from lake_builders import NOON, a_session, arrival, bring, sessions

from data.lake.connection import LakeError
from data.lake.intake import take_in
from data.lake.reader import LakeReader, ReaderTimeout
from data.lake.writer import LakeWriter
from data.postgres import LAKE_READER, Postgres
from data.settings import Settings

CANARY = "canary-4712"
LEGITIMATE = [
    "select count(*) from raw_marketplace.sessions",
    "select count(*) from lake.raw_marketplace.sessions",
    "from raw_marketplace.sessions select session_id",
    "with late as (select * from raw_marketplace.sessions) select count(*) from late as l",
    "with recursive n as (select 1 as i union all select i + 1 from n where i < 5) select sum(i) from n",
    "select * from (values (1), (2)) as v(x)",
    "select * from range(3)",
    "select unnest([1, 2])",
    "select s.session_id from raw_marketplace.sessions as s, unnest([1]) as u(x)",
    "select subject_id, count(*) over () from raw_marketplace.sessions order by 1 limit 3",
    "(select 1) union all (select 2)",
    "pivot raw_marketplace.sessions on status in ('finished') using count(*)",
    "describe raw_marketplace.sessions",
    "show all tables",
    "select table_name from information_schema.tables where table_schema = 'marts'",
    "select 'copy; pragma; postgres_query; read_csv' as harmless -- attach",
    "select exists (select 1 from raw_marketplace.customers)",
]
ESCAPES = [
    # files
    "select * from read_csv('/etc/hostname')",
    "select * from read_text('/etc/hostname')",
    "select * from read_blob('/etc/hostname')",
    "select * from read_json('/etc/hostname')",
    "select * from read_parquet('{lake}raw_marketplace/**/*.parquet')",
    "select * from read_parquet('{pii}**/*.parquet')",
    "select * from read_parquet('{lake}marts/../../lake-pii/main/sessions/*.parquet')",
    "select * from parquet_metadata('{pii}main/sessions/x.parquet')",
    "select * from sniff_csv('/etc/hostname')",
    "select * from glob('/etc/*')",
    "select * from glob('{lake}**')",
    "select * from '/etc/hostname'",
    "select * from '{lake}raw_marketplace/x.parquet'",
    "with \"/etc/x.csv\" as (select 1) select * from '/etc/x.csv'",
    "copy (select 1) to '/tmp/chalkline-escape.csv'",
    "copy (select 1 as a) to '{lake}raw_marketplace/escape.parquet'",
    "copy raw_marketplace.sessions to '{lake}raw_marketplace/escape.csv'",
    "explain analyze copy (select 1 as a) to '{lake}raw_marketplace/escape.parquet'",
    "export database '{lake}raw_marketplace/escape'",
    "import database '/tmp'",
    # databases and extensions
    "attach '/tmp/chalkline-escape.db' as other",
    "attach ':memory:' as other",
    "attach 'dbname=operations' as other (type postgres)",
    "detach lake",
    "use memory",
    "install httpfs",
    "load httpfs",
    "create secret stolen (type postgres)",
    "create table memory.main.kept as select 1",
    "create temp table kept as select 1",
    "create macro kept() as 1",
    # settings
    "set memory_limit = '99GB'",
    "set enable_external_access = true",
    "reset lock_configuration",
    "pragma threads = 99",
    "pragma database_list",
    "select current_setting('allowed_paths')",
    "select * from duckdb_settings()",
    "select * from duckdb_settings",
    "select * from duckdb_databases()",
    "select * from duckdb_secrets()",
    "select getenv('PATH')",
    "call enable_logging()",
    # the catalogue
    "select * from postgres_query('__ducklake_metadata_lake', 'select 1')",
    "select * from postgres_scan('dbname=operations', 'public', 'users')",
    "call postgres_execute('__ducklake_metadata_lake', 'drop table ducklake_table')",
    "select * from __ducklake_metadata_lake.ducklake_file_column_stats",
    'select * from "__ducklake_metadata_lake"."public"."ducklake_table"',
    "from query('select * from __duck' || 'lake_metadata_lake.ducklake_file_column_stats')",
    "from \"query\" /**/ ('select 1')",
    "from query_table('__duck' || 'lake_metadata_lake.public.ducklake_file_column_stats')",
    "from json_execute_serialized_sql('{{}}')",
    "select * from ducklake_list_files('lake', 'sessions', schema => 'pii')",
    "select * from lake.snapshots()",
    "select * from raw_marketplace.sessions at (version => 1)",
    "call ducklake_expire_snapshots('lake', versions => [1])",
    "call lake.set_option('data_inlining_row_limit', 5)",
    "with a as (with duckdb_databases as (select 1) select 1) select * from duckdb_databases",
    # writes and tricks
    "insert into raw_marketplace.sessions (session_id) values ('x')",
    "delete from raw_marketplace.sessions",
    "drop table raw_marketplace.sessions",
    "begin",
    "checkpoint",
    "prepare p as select 1",
    "select 1; select 2",
    "select 1; drop table raw_marketplace.sessions",
    "",
    "selec 1",
    # personal data
    "select * from pii.sessions",
    "select count(*) from pii.sessions",
    "select min(student_comment) from pii.main.sessions",
    "select min(student_comment) from lake.pii.sessions",
    "select * from __ducklake_metadata_pii.pii_catalogue.ducklake_file_column_stats",
    "select * from postgres_query('__ducklake_metadata_lake', 'select * from pii_catalogue.ducklake_table')",
    "describe pii.sessions",
    "summarize pii.sessions",
    "select (select max(student_comment) from PII.sessions)",
    "with p as (select * from pii.sessions) select count(*) from p",
    "select * from raw_marketplace.sessions where exists (select 1 from pii.sessions limit 0)",
]


@pytest.fixture(scope="module")
def filled(opened_lake: LakeWriter) -> LakeWriter:
    opened_lake.connection.execute("delete from lake.raw_marketplace.sessions")
    opened_lake.connection.execute("delete from pii.sessions")
    bring(opened_lake, *sessions(250, student_comment=CANARY))
    return opened_lake


@pytest.fixture(scope="module")
def reader(filled: LakeWriter, state_settings: Settings) -> Iterator[LakeReader]:
    opened = LakeReader(state_settings, snapshot_id=filled.snapshot_id())
    yield opened
    opened.close()


def limited(settings: Settings, lake: LakeWriter, **limits: object) -> LakeReader:
    return LakeReader(settings.model_copy(update=limits), snapshot_id=lake.snapshot_id())


def test_a_reader_does_not_see_what_is_written_later(
    reader: LakeReader, filled: LakeWriter, state_settings: Settings
) -> None:
    query = "select count(*) as n from raw_marketplace.sessions"
    before = reader.query(query)["n"][0]
    bring(filled, a_session("z-later"), at=NOON + timedelta(minutes=1))
    filled.connection.execute("delete from lake.raw_marketplace.sessions where session_id < 's00100'")
    filled.connection.execute("create table lake.marts.made_later as select 1 as x")
    try:
        newest = LakeReader(state_settings, snapshot_id=filled.snapshot_id())
        assert reader.query(query)["n"][0] == before == 250
        assert newest.query(query)["n"][0] == 151
        with pytest.raises(duckdb.CatalogException):
            reader.query("select * from marts.made_later")
        newest.close()
    finally:
        filled.connection.execute("drop table lake.marts.made_later")


@pytest.mark.parametrize("query", LEGITIMATE)
def test_an_honest_query_is_answered(reader: LakeReader, query: str) -> None:
    assert reader.query(query).width >= 1


def test_parameters_are_values_and_never_sql(reader: LakeReader) -> None:
    found = reader.query(
        "select count(*) as n from raw_marketplace.sessions where session_id = $id", {"id": "' or true --"}
    )
    assert found["n"][0] == 0


@pytest.mark.parametrize("query", ESCAPES)
def test_an_escape_is_refused(reader: LakeReader, state_settings: Settings, query: str) -> None:
    with pytest.raises(LakeError):
        reader.query(query.format(lake=state_settings.lake_path, pii=state_settings.personal_path))
    assert not list(Path(state_settings.lake_path).rglob("escape*"))
    assert reader.query("select count(*) as n from raw_marketplace.sessions")["n"][0] == 250


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("select * from pii.sessions", duckdb.CatalogException),
        ("select * from read_parquet('{pii}main/sessions/*.parquet')", duckdb.PermissionException),
        ("select count(*) from read_csv('/etc/hostname')", duckdb.PermissionException),
    ],
)
def test_the_connection_itself_refuses_what_the_guard_would_let_through(
    reader: LakeReader,
    state_settings: Settings,
    query: str,
    refusal: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("data.lake.reader.check_query", lambda *_, **__: None)
    with pytest.raises(refusal):
        reader.query(query.format(pii=state_settings.personal_path))


def test_who_may_see_personal_data_sees_it_and_still_no_files(
    filled: LakeWriter, state_settings: Settings
) -> None:
    reader = LakeReader(state_settings, snapshot_id=filled.snapshot_id(), personal=True)
    assert reader.query("select distinct student_comment as c from pii.sessions")["c"].to_list() == [CANARY]
    for query in ("select * from read_text('/etc/hostname')", "copy (select 1) to '/tmp/x.csv'"):
        with pytest.raises(LakeError):
            reader.query(query)
    reader.close()


RUNAWAYS = [
    "select count(*) from range(1000000000) as a, range(1000000000) as b",
    "with recursive n as (select 1 as i union all select i + 1 from n) select max(i) from n",
    "select sum(a.range * b.range) from range(10000000) as a, range(10000000) as b",
]


@pytest.mark.parametrize("query", RUNAWAYS)
def test_a_runaway_query_is_stopped_and_the_reader_goes_on(
    filled: LakeWriter, state_settings: Settings, query: str
) -> None:
    reader = limited(state_settings, filled, reader_timeout_seconds=0.2)
    with pytest.raises(ReaderTimeout, match=r"longer than 0\.2 s"):
        reader.query(query)
    assert reader.query("select 1 as x")["x"][0] == 1
    reader.close()


@pytest.mark.parametrize("query", RUNAWAYS)
def test_a_limit_that_is_over_before_the_query_begins_still_ends_it(
    filled: LakeWriter, state_settings: Settings, query: str
) -> None:
    reader = limited(state_settings, filled, reader_timeout_seconds=0.0)
    with pytest.raises(ReaderTimeout):
        reader.query(query)
    reader.close()


def test_one_runaway_query_does_not_stop_another_thread(filled: LakeWriter, state_settings: Settings) -> None:
    reader = limited(state_settings, filled, reader_timeout_seconds=1.0)
    with ThreadPoolExecutor(5) as pool:
        runaway = pool.submit(reader.query, RUNAWAYS[0])
        small = [pool.submit(reader.query, "select count(*) as n from range(1000)") for _ in range(40)]
        assert [future.result()["n"][0] for future in small] == [1000] * 40
        assert isinstance(runaway.exception(), ReaderTimeout)
    reader.close()


def test_a_greedy_query_meets_the_memory_limit(filled: LakeWriter, state_settings: Settings) -> None:
    reader = limited(state_settings, filled, reader_memory_limit="60MB")
    with pytest.raises(duckdb.OutOfMemoryException):
        reader.query("select list(range) from range(50000000)")
    assert reader.query("select count(*) as n from raw_marketplace.sessions")["n"][0] > 0
    reader.close()


def as_reader(postgres: Postgres, database: str) -> "psycopg2.extensions.connection":
    connection = psycopg2.connect(postgres.libpq(database, reader=True))  # type: ignore[arg-type]
    connection.autocommit = True
    return connection


@pytest.mark.parametrize("database", ["operations", "dagster"])
def test_the_readers_role_cannot_connect_to_other_databases(postgres: Postgres, database: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        as_reader(postgres, database)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into ducklake_metadata (key, value) values ('x', 'y')",
        "update ducklake_snapshot set snapshot_id = snapshot_id + 1",
        "delete from ducklake_table",
        "truncate ducklake_data_file",
        "drop table ducklake_table",
        "alter table ducklake_table add column x int",
        "create table mine (x int)",
        "create schema mine",
        "create role mine superuser",
        "alter role lake_reader superuser",
        "set role postgres",
        "copy (select 1) to '/tmp/chalkline-escape'",
        "select pg_read_file('/etc/hostname')",
        "select lo_import('/etc/hostname')",
    ],
)
def test_the_readers_role_cannot_change_the_catalogue(
    opened_lake: LakeWriter, postgres: Postgres, statement: str
) -> None:
    connection = as_reader(postgres, "lake")
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute(statement)
    connection.close()


def test_the_readers_role_reads_the_catalogue_of_later_tables_too(
    opened_lake: LakeWriter, postgres: Postgres
) -> None:
    take_in(opened_lake, "inbound_calls", [], arrival())
    connection = as_reader(postgres, "lake")
    with connection.cursor() as cursor:
        cursor.execute("select current_user, count(*) from ducklake_table")
        row = cursor.fetchone()
    connection.close()
    assert row is not None
    assert row[0] == LAKE_READER
    assert row[1] > 10
