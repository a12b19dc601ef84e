"""The real sets come in whole: every total agrees with a recomputation from the raw files by other means.

The recomputation uses polars and no mapping. What the sources do not have must stay empty.
"""

import zipfile
from collections import Counter
from collections.abc import Iterator
from math import ceil
from pathlib import Path

import polars as pl
import pytest
from import_builders import LIMITS, a_fresh_lake, run_import

from assets.ingest.evaluation import Evaluation
from assets.ingest.files import CHUNK_ROWS
from assets.ingest.mapping import load_mapping
from assets.ingest.real_files import RealDataMissing, RealSet, import_tasks
from assets.ingest.report import ImportReport
from data.lake.writer import LakeWriter
from data.settings import get_settings

pytestmark = pytest.mark.slow

ABSENT = ("student_rating", "tutor_rating", "customer_joined_at", "customer_left_at", "is_first_reported")
ABSENT += ("booked_followup", "booked_at")


class Imported:
    """One real set in a lake of its own, imported twice."""

    def __init__(self, lake: LakeWriter, name: RealSet) -> None:
        try:
            self.tasks = import_tasks(name, get_settings())
        except RealDataMissing:
            pytest.skip(f"real data set {name} is not here")
        self.raw = self.tasks[0].file
        self.lake = lake
        self.first = self._import()
        self.second = self._import()

    def _import(self) -> list[ImportReport]:
        return [run_import(self.lake, task.file, load_mapping(task.mapping)) for task in self.tasks]

    def sessions(self) -> pl.DataFrame:
        return self.lake.read("select * from lake.raw_marketplace.sessions")


@pytest.fixture(scope="module")
def incidents() -> Iterator[Imported]:
    with a_fresh_lake() as lake:
        yield Imported(lake, "incidents")


@pytest.fixture(scope="module")
def flights() -> Iterator[Imported]:
    with a_fresh_lake() as lake:
        yield Imported(lake, "flights")


@pytest.fixture(scope="module")
def submissions() -> Iterator[Imported]:
    with a_fresh_lake() as lake:
        yield Imported(lake, "oulad")


def totals(rows: pl.DataFrame, by: str | pl.Expr) -> list[tuple[object, ...]]:
    return rows.group_by(by).len().sort(pl.all()).rows()


def assert_same_totals(stored: pl.DataFrame, expected: pl.DataFrame) -> None:
    for name in ("tutor_id", "customer_id", "subject_id", "status"):
        assert totals(stored, name) == totals(expected, name), name
    hour = pl.col("scheduled_start_at").dt.truncate("1h")
    assert totals(stored, hour) == totals(expected, hour), "per hour"
    assert stored.sort("session_id")["scheduled_start_at"].equals(
        expected.sort("session_id")["scheduled_start_at"]
    )


def expected_incidents(file: Path) -> pl.DataFrame:
    events = pl.read_parquet(file).sort("number", "sys_mod_count", "sys_updated_at")

    def last(name: str) -> pl.Expr:
        return pl.col(name).drop_nulls().last()

    worked_on = (pl.col("incident_state") == "Active") & pl.col("assigned_to").is_not_null()
    return events.group_by("number", maintain_order=True).agg(
        tutor_id=pl.coalesce(last("assigned_to"), last("resolved_by")),
        customer_id=last("caller_id"),
        subject_id=last("category"),
        status=pl.lit("finished"),
        scheduled_start_at=pl.col("opened_at").first(),
        scheduled_end_at=last("closed_at"),
        tutor_joined_at=pl.col("sys_updated_at").filter(worked_on).first(),
        tutor_left_at=last("resolved_at"),
        reported_late=~pl.col("made_sla").last(),
        reschedule_count=pl.col("reassignment_count").last(),
        updated_at=pl.col("sys_updated_at").max(),
        is_phone=(pl.col("contact_type") == "Phone").any(),
        last_event_at=pl.col("sys_updated_at").max(),
    ).rename({"number": "session_id"})  # fmt: skip


def packaged_csv(file: Path) -> pl.DataFrame:
    with zipfile.ZipFile(file) as archive:
        return pl.read_csv(archive.read("flights.csv"), null_values="NA", infer_schema_length=None)


def expected_flights(file: Path) -> pl.DataFrame:
    rows = pl.read_parquet(file) if file.suffix == ".parquet" else packaged_csv(file)
    # The file's own UTC hour plus the scheduled minute: another way to the instant than the local clock.
    hour = pl.col("time_hour").cast(pl.String).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
    start = hour + pl.duration(minutes=pl.col("sched_dep_time") % 100)
    delay = pl.duration(minutes=pl.col("dep_delay"))
    return rows.select(
        session_id=pl.format(
            "{}-{}-{}/{}{}/{}/{}", "year", *(pl.col(n).cast(pl.String).str.zfill(2) for n in ("month", "day")),
            "carrier", "flight", "origin", pl.col("sched_dep_time").cast(pl.String).str.zfill(4),
        ),
        tutor_id="tailnum",
        customer_id=pl.col("carrier") + "-" + pl.col("dest"),
        subject_id="origin",
        status=pl.lit("finished"),
        scheduled_start_at=start,
        tutor_joined_at=pl.when(pl.col("dep_time").is_not_null()).then(start + delay),
    )  # fmt: skip


def test_the_incident_totals_are_those_of_the_source(incidents: Imported) -> None:
    sessions = incidents.sessions()
    assert sessions.height == 24_918
    assert (sessions["tutor_id"].drop_nulls().n_unique(), sessions["tutor_id"].null_count()) == (287, 22)
    assert (sessions["customer_id"].drop_nulls().n_unique(), sessions["customer_id"].null_count()) == (
        5_244,
        3,
    )
    assert sessions["subject_id"].drop_nulls().n_unique() == 52
    assert sessions["reported_late"].sum() == 9_115
    moved = sessions.filter(pl.col("reschedule_count") > 0)
    assert moved.height == 11_369
    assert moved["rescheduled_by"].unique().to_list() == ["system"]
    assert sessions.filter(pl.col("reschedule_count") == 0)["rescheduled_by"].null_count() == 24_918 - 11_369
    top_ten = sessions["subject_id"].drop_nulls().value_counts(sort=True).head(10)["count"].sum()
    assert round(top_ten / sessions.height, 2) == 0.76


def test_the_incidents_agree_with_a_recomputation(incidents: Imported) -> None:
    sessions, expected = (
        incidents.sessions().sort("session_id"),
        expected_incidents(incidents.raw).sort("session_id"),
    )
    assert_same_totals(sessions, expected)
    names = [
        "scheduled_end_at",
        "tutor_joined_at",
        "tutor_left_at",
        "reported_late",
        "reschedule_count",
        "updated_at",
    ]
    for name in ["session_id", "tutor_id", "customer_id", "subject_id", *names]:
        assert sessions[name].equals(expected[name]), name
    assert sessions["updated_at"].max() == expected["last_event_at"].max()


def test_the_calls_are_the_tickets_opened_by_telephone(incidents: Imported) -> None:
    calls = incidents.lake.read("select * from lake.raw_marketplace.inbound_calls")
    expected = expected_incidents(incidents.raw).filter("is_phone")
    assert (calls.height, calls["customer_id"].drop_nulls().n_unique()) == (24_688, 5_210)
    assert totals(calls, "customer_id") == totals(expected, "customer_id")
    hour = pl.col("called_at").dt.truncate("1h").alias("hour")
    assert totals(calls, hour) == totals(
        expected, pl.col("scheduled_start_at").dt.truncate("1h").alias("hour")
    )


def test_the_incidents_gain_no_rating_no_meeting_and_no_no_show(incidents: Imported) -> None:
    sessions = incidents.sessions()
    for name in ABSENT:
        assert sessions[name].null_count() == sessions.height, name
    assert sessions["join_kind"].unique().to_list() == ["queue"]
    assert not sessions["reports_attendance"].any()
    assert not sessions["reports_customer_attendance"].any()
    assert incidents.lake.read("select count(*) as n from pii.sessions")["n"][0] == 0


def test_the_dense_days_of_the_incidents_are_91(incidents: Imported) -> None:
    start = pl.col("scheduled_start_at").dt.date()
    dense = incidents.sessions().filter(start.is_between(pl.date(2016, 3, 1), pl.date(2016, 5, 30)))
    assert dense.height == 24_137
    assert dense.select(start.n_unique()).item() == 91


def test_the_flight_totals_are_those_of_the_source(flights: Imported) -> None:
    sessions = flights.sessions()
    assert sessions.height == sessions["session_id"].n_unique() == 336_776
    assert (sessions["tutor_id"].drop_nulls().n_unique(), sessions["tutor_id"].null_count()) == (4_043, 2_512)
    assert (sessions["customer_id"].n_unique(), sessions["customer_id"].null_count()) == (314, 0)
    assert sessions["subject_id"].n_unique() == 3
    assert sessions["tutor_joined_at"].null_count() == 8_255
    assert sessions["reports_attendance"].all()


def test_the_flights_agree_with_a_recomputation(flights: Imported) -> None:
    sessions, expected = (
        flights.sessions().sort("session_id"),
        expected_flights(flights.raw).sort("session_id"),
    )
    assert_same_totals(sessions, expected)
    for name in ("session_id", "tutor_id", "customer_id", "subject_id", "tutor_joined_at"):
        assert sessions[name].equals(expected[name]), name
    known = pl.max_horizontal("scheduled_start_at", "tutor_joined_at")
    assert sessions["updated_at"].max() <= expected.select(known.max()).item()


def test_the_flights_gain_no_rating_no_end_and_no_customer_join(flights: Imported) -> None:
    sessions = flights.sessions()
    for name in (
        *ABSENT,
        "scheduled_end_at",
        "tutor_left_at",
        "reported_late",
        "reschedule_count",
        "rescheduled_by",
    ):
        assert sessions[name].null_count() == sessions.height, name
    assert not sessions["reports_customer_attendance"].any()


def expected_submissions(file: Path) -> pl.DataFrame:
    rows = pl.read_parquet(file).join(
        pl.read_parquet(file.with_name("assessments.parquet")), on="id_assessment", validate="m:1"
    )
    code = pl.col("code_presentation")
    month = code.str.tail(1).replace_strict({"B": 2, "J": 10}, return_dtype=pl.Int8)
    begun = pl.datetime(code.str.head(4).cast(pl.Int32), month, 1)
    verb = pl.when("is_banked").then(pl.lit("carried_over_")).otherwise(pl.lit("handed_in_"))
    return rows.select(
        event_id=pl.format("{}/{}", "id_assessment", "id_student"),
        actor_id=pl.col("id_student").cast(pl.String),
        event_type=verb + pl.col("assessment_type").str.to_lowercase(),
        occurred_at=begun + pl.duration(days=pl.col("date_submitted")),
    )


def test_the_submissions_agree_with_a_recomputation(submissions: Imported) -> None:
    events = submissions.lake.read("select * from lake.raw_marketplace.engagement_events").sort("event_id")
    expected = expected_submissions(submissions.raw).sort("event_id")
    assert events.height == events["event_id"].n_unique() == 173_912
    for name in expected.columns:
        assert events[name].equals(expected[name].cast(events[name].dtype)), name
    assert events["actor_type"].unique().to_list() == ["customer"]
    assert events["updated_at"].equals(events["occurred_at"])
    assert events["session_id"].null_count() == events.height
    assert events.filter(pl.col("event_type").str.starts_with("carried_over_")).height == 1_909


def calls_to_the_bank() -> tuple[Path, pl.DataFrame]:
    try:
        (task,) = import_tasks("bank_calls", get_settings())
    except RealDataMissing:
        pytest.skip("real data set bank_calls is not here")
    raw = pl.read_csv(task.file).with_columns(
        pl.col("DateTime").str.to_datetime(time_unit="us").dt.replace_time_zone("America/New_York")
    )
    at = pl.col("DateTime").dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return task.file, raw.select(called_at=at, calls="Calls").sort("called_at")


def test_the_calls_to_the_bank_are_as_many_as_it_counted_in_each_five_minutes() -> None:
    """All of them mapped; storing five million takes a quarter of an hour, and `reliability.imports` does it."""
    file, expected = calls_to_the_bank()
    mapping = load_mapping(import_tasks("bank_calls", get_settings())[0].mapping)
    with Evaluation(file, mapping, LIMITS) as evaluation:
        summary = evaluation.summary
        numbers = (0, 50, ceil(summary.record_count / CHUNK_ROWS) - 1)
        chunks = {number: evaluation.chunk(number, CHUNK_ROWS).records for number in numbers}
    assert summary.file_row_count == expected.height == 27_716
    assert summary.record_count == expected["calls"].sum() == 5_323_661
    assert (summary.first_event_at, summary.last_event_at) == (
        expected["called_at"].min(),
        expected["called_at"].max(),
    )
    # Chunks are in the order of time, so what is in each of them can be counted off: the first, one amid, the last.
    times = expected.sort("called_at").select(pl.col("called_at").repeat_by("calls").explode())["called_at"]
    for number, records in chunks.items():
        due = times[number * CHUNK_ROWS : (number + 1) * CHUNK_ROWS].to_list()
        assert len({record["call_id"] for record in records}) == len(due)
        assert Counter(record["called_at"] for record in records) == Counter(
            f"{at:%Y-%m-%dT%H:%M:%S}.000000Z" for at in due
        )


@pytest.mark.parametrize("name", ["incidents", "flights", "submissions"])
def test_a_second_import_of_a_real_set_adds_nothing(name: str, request: pytest.FixtureRequest) -> None:
    imported: Imported = request.getfixturevalue(name)
    for first, second in zip(imported.first, imported.second, strict=True):
        assert (first.loaded_count, first.quarantined_count) == (first.read_count, 0)
        assert (second.loaded_count, second.duplicate_count) == (0, first.read_count)
        assert first.notes, "what the source lacks is said"
        assert (first.repeated_times.count, first.skipped_times.count) == (0, 0)
    account = imported.lake.read("select * from lake.raw_quality.ingestion_batches")
    rest = (
        pl.col("read_count")
        - pl.col("loaded_count")
        - pl.col("duplicate_count")
        - pl.col("quarantined_count")
    )
    assert account.select(rest.abs().sum()).item() == 0
