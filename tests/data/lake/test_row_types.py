"""The lake's columns are those of the contracts: same names, same types, for every kind."""

from datetime import date, datetime

import polars as pl
import pytest

from data.contracts import CONTRACTS, KINDS, Kind
from data.lake.row_types import row_schema
from data.lake.writer import LakeWriter

ADDED = ("source", "batch_id", "version_hash", "ingested_at")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_a_type_for_every_field_and_its_version(kind: Kind) -> None:
    assert list(row_schema(kind)) == [*CONTRACTS[kind].model_fields, "version_hash"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_raw_table_of_a_kind_takes_its_rows_as_they_are(lake: LakeWriter, kind: Kind) -> None:
    stored = lake.read(f"select * from lake.raw_marketplace.{kind}").schema
    personal = CONTRACTS[kind].personal
    wanted = {name: dtype for name, dtype in row_schema(kind).items() if name not in personal}
    assert {name: dtype for name, dtype in stored.items() if name not in ADDED} == {
        name: dtype for name, dtype in wanted.items() if name not in ADDED
    }
    assert set(ADDED) <= set(stored)


def test_nested_and_optional_fields_keep_their_shape() -> None:
    tutors = row_schema("tutors")
    assert tutors["subjects"] == pl.List(pl.String)
    assert tutors["availability"] == pl.List(
        pl.Struct({"weekday": pl.Int64, "start_time": pl.String, "end_time": pl.String})
    )
    assert tutors["leaves"] == pl.List(pl.Struct({"starts_on": pl.Date, "ends_on": pl.Date}))
    sessions = row_schema("sessions")
    assert (sessions["status"], sessions["student_rating"]) == (pl.String, pl.Float64)
    assert (sessions["reschedule_count"], sessions["reports_attendance"]) == (pl.Int64, pl.Boolean)
    assert sessions["booked_at"] == pl.Datetime("us")


def test_a_batch_in_which_a_field_is_always_empty_has_its_type_all_the_same() -> None:
    schema = row_schema("reschedules")
    row = dict.fromkeys(schema) | {"reschedule_id": "r1", "rescheduled_at": datetime(2026, 3, 1)}
    assert pl.DataFrame([row], schema=schema).schema == schema
    goal = {"goal_id": "g1", "subject_id": None, "set_at": datetime(2026, 3, 1), "completed_at": None}
    customers = pl.DataFrame([{"customer_id": "c1", "goals": [goal]}], schema=row_schema("customers"))
    assert customers["goals"].to_list() == [[goal]]
    leave = {"starts_on": date(2026, 3, 1), "ends_on": date(2026, 3, 2)}
    tutors = pl.DataFrame([{"tutor_id": "t1", "leaves": [leave]}], schema=row_schema("tutors"))
    assert tutors["leaves"].to_list() == [[leave]]
