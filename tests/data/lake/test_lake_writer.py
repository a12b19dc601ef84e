"""The write gate: each change whole or not at all, and upkeep that keeps what is retained."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime

import polars as pl
import pytest
from lake_builders import a_session, bring, count, rows, sessions

from data.lake import upkeep
from data.lake.reader import LakeReader
from data.lake.upkeep import keep_up
from data.lake.writer import KeptLake, LakeWriter
from data.settings import Settings

TABLE = "ml.forecast_refusals"


def refusals(day: date, *subjects: str) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "subject_id": subject,
                "forecast_origin_date": day,
                "model_version": "v1",
                "not_forecast_reason": "few",
            }
            for subject in subjects
        ]
    )


MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)


def test_replacing_a_day_twice_leaves_the_same_rows(lake: LakeWriter) -> None:
    lake.append(TABLE, refusals(MONDAY, "maths", "art"))
    for _ in range(2):
        lake.replace_day(TABLE, refusals(TUESDAY, "music"), column="forecast_origin_date", day=TUESDAY)
    assert rows(lake, TABLE, "subject_id")["subject_id"].to_list() == ["art", "maths", "music"]
    lake.replace_day(TABLE, refusals(MONDAY, "maths"), column="forecast_origin_date", day=MONDAY)
    assert rows(lake, TABLE, "subject_id")["subject_id"].to_list() == ["maths", "music"]


def test_replacing_a_day_by_nothing_empties_the_day_only(lake: LakeWriter) -> None:
    lake.append(TABLE, refusals(MONDAY, "maths"))
    lake.append(TABLE, refusals(TUESDAY, "art"))
    lake.replace_day(TABLE, refusals(MONDAY), column="forecast_origin_date", day=MONDAY)
    assert rows(lake, TABLE, "1")["subject_id"].to_list() == ["art"]


def test_replacing_all_twice_leaves_the_same_rows(lake: LakeWriter) -> None:
    lake.append(TABLE, refusals(MONDAY, "old"))
    for _ in range(2):
        lake.replace_all(TABLE, refusals(MONDAY, "maths", "art"))
    assert rows(lake, TABLE, "1")["subject_id"].to_list() == ["art", "maths"]


@pytest.mark.parametrize("many", [1, 500])
def test_a_replacement_that_fails_leaves_what_was_there(lake: LakeWriter, many: int) -> None:
    lake.append(TABLE, refusals(MONDAY, *map(str, range(many))))
    with pytest.raises(Exception, match="surprise"):
        lake.replace_all(TABLE, pl.DataFrame({"surprise": [1]}))
    with pytest.raises(Exception, match="surprise"):
        lake.replace_day(TABLE, pl.DataFrame({"surprise": [1]}), column="forecast_origin_date", day=MONDAY)
    assert count(lake, TABLE) == many
    lake.replace_all(TABLE, refusals(MONDAY, "new"))
    assert count(lake, TABLE) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_transaction_that_is_left_by_an_error_is_undone(
    lake: LakeWriter, error: type[BaseException]
) -> None:
    def fail_inside() -> None:
        with lake.transaction():
            lake.append(TABLE, refusals(MONDAY, "maths"))
            assert count(lake, TABLE) == 1
            raise error

    with pytest.raises(error):
        fail_inside()
    assert count(lake, TABLE) == 0
    lake.append(TABLE, refusals(MONDAY, "maths"))
    assert count(lake, TABLE) == 1


def test_rows_are_added_by_name_whatever_the_order_of_columns(lake: LakeWriter) -> None:
    frame = refusals(MONDAY, "maths")
    lake.append(TABLE, frame.select(reversed(frame.columns)))
    assert rows(lake, TABLE, "1").to_dicts() == frame.to_dicts()


def test_preparing_again_changes_nothing(lake: LakeWriter) -> None:
    bring(lake, a_session())
    lake.prepare()
    assert count(lake, "raw_marketplace.sessions") == 1


def test_writers_of_a_kept_lake_share_one_attachment(
    lake: LakeWriter, state_settings: Settings, attached: list[LakeWriter]
) -> None:
    with closing(KeptLake(state_settings)) as kept:
        with kept.writer() as first:
            first.append(TABLE, refusals(MONDAY, "maths"))
        with kept.writer() as second:
            assert rows(second, TABLE, "1")["subject_id"].to_list() == ["maths"]
        assert len(attached) == 1
        attached[0].close()
        with kept.writer() as third:
            assert rows(third, TABLE, "1").height == 1, "what went away is attached anew"
        assert len(attached) == 2
    assert not attached[1].answers()


def test_each_connection_tells_time_in_utc_wherever_the_machine_stands(state_settings: Settings) -> None:
    state_settings.extension_path.mkdir(parents=True, exist_ok=True)
    asked = (
        "from data.lake.connection import connect; from data.settings import Settings; "
        f"connection = connect(Settings(state={str(state_settings.state)!r}), memory_limit='1GB'); "
        "both = (connection, connection.cursor()); "
        "print([one.execute('select current_setting($$TimeZone$$)').fetchone()[0] for one in both])"
    )
    told = subprocess.run(
        [sys.executable, "-c", asked],
        env=os.environ | {"TZ": "America/New_York"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "['UTC', 'UTC']"


def test_each_change_is_a_newer_snapshot(lake: LakeWriter) -> None:
    before = lake.snapshot_id()
    bring(lake, a_session())
    assert lake.snapshot_id() > before


def test_upkeep_keeps_retained_snapshots_readable_and_drops_the_others(
    lake: LakeWriter, state_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "GRACE", "0 seconds")
    query = "select session_id, student_rating, ingested_at from raw_marketplace.sessions order by all"

    def seen(snapshot_id: int) -> pl.DataFrame:
        reader = LakeReader(state_settings, snapshot_id=snapshot_id)
        try:
            return reader.query(query)
        finally:
            reader.close()

    steps: list[Callable[[], object]] = [
        lambda: bring(lake, *sessions(30)),
        lambda: bring(lake, *sessions(400, student_rating=4)),
        lambda: lake.connection.execute(
            "delete from lake.raw_marketplace.sessions where session_id < 's00010'"
        ),
        lambda: bring(lake, *sessions(20, student_rating=2)),
    ]
    versions: dict[int, pl.DataFrame] = {}
    for step in steps:
        step()
        versions[lake.snapshot_id()] = seen(lake.snapshot_id())
    dropped = list(versions)[1]
    retained = {snapshot: frame for snapshot, frame in versions.items() if snapshot != dropped}
    first = keep_up(lake, retained_snapshots=list(retained))
    second = keep_up(lake, retained_snapshots=list(retained))
    assert first.expired_snapshots > second.expired_snapshots
    for snapshot, frame in retained.items():
        assert seen(snapshot).equals(frame)
    with pytest.raises(Exception, match=f"(?i)no snapshot found at version {dropped}"):
        seen(dropped)
    assert lake.read(query.replace("raw_", "lake.raw_")).equals(list(versions.values())[-1])


def test_upkeep_leaves_the_newest_hour_alone(lake: LakeWriter) -> None:
    bring(lake, *sessions(3))
    before = lake.snapshot_id()
    assert keep_up(lake, retained_snapshots=()).expired_snapshots == 0
    assert (
        lake.read(f"select count(*) as n from lake.raw_marketplace.sessions at (version => {before})")["n"][0]
        == 3
    )


def test_personal_rows_are_files_and_not_rows_of_the_catalogue(lake: LakeWriter) -> None:
    bring(lake, a_session(student_comment="x", updated_at=datetime(2026, 3, 1).astimezone().isoformat()))
    files = lake.read("select * from ducklake_list_files('pii', 'sessions')")
    assert files.height == 1
