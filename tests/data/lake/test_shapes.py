"""The shape of a batch: names and types of what a source sends, never a value, and bounded whatever comes."""

from datetime import datetime
from typing import Any

import pytest
from lake_builders import a_session, arrival, bring, count, rows

from data.contracts import CONTRACTS
from data.lake.intake import take_in
from data.lake.shapes import LONGEST_NAME, MOST_FIELDS, SAMPLE, shape_of
from data.lake.writer import LakeWriter


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "boolean"),
        (7, "number"),
        (1.5, "number"),
        (float("nan"), "number"),
        ("", "text"),
        ([], "list"),
        ({}, "object"),
        (datetime(2026, 3, 1), "text"),
    ],
)
def test_a_value_is_known_by_its_type_alone(value: Any, name: str) -> None:
    assert shape_of([{"x": value}]) == {("x", name): 1}


def test_each_field_is_counted_by_the_types_it_came_with() -> None:
    records = [{"x": 1, "y": "a"}, {"x": "1", "y": "b"}, {"x": None}, "no record", None]
    assert shape_of(records) == {
        ("x", "number"): 1, ("x", "text"): 1, ("x", "null"): 1, ("y", "text"): 2
    }  # fmt: skip


def test_only_a_sample_of_a_long_batch_is_looked_at() -> None:
    assert shape_of([{"x": 1}] * (SAMPLE + 500)) == {("x", "number"): SAMPLE}


def test_a_source_that_invents_names_fills_no_table() -> None:
    invented = [{f"name_{number}": 1 for number in range(5_000)} | {"x" * 10_000: 1}]
    shape = shape_of(invented * 2)
    assert len(shape) == MOST_FIELDS
    assert max(len(name) for name, _ in shape_of([{"x" * 10_000: 1}])) == LONGEST_NAME


def test_a_new_name_is_told_from_those_that_the_contract_understands(lake: LakeWriter) -> None:
    bring(lake, a_session(student_feedback=None, was_rescheduled=False, brand_new=1, student_id="c1"))
    shape = rows(lake, "raw_quality.record_shapes", "field")
    assert shape.filter(~shape["is_understood"])["field"].to_list() == ["brand_new"]
    assert set(shape["kind"]) == {"sessions"}
    assert set(shape["source"]) == {"rails.pull"}
    assert set(shape["sampled_count"]) == {1}


def test_refused_records_belong_to_the_shape_too(lake: LakeWriter) -> None:
    batch = bring(lake, a_session("s1"), a_session("s2", status=7), None)
    shape = rows(lake, "raw_quality.record_shapes", "value_type")
    status = shape.filter(shape["field"] == "status")
    assert list(zip(status["value_type"], status["record_count"], strict=True)) == [
        ("number", 1),
        ("text", 1),
    ]
    assert set(shape["batch_id"]) == {batch.batch_id}


def test_a_batch_without_records_has_no_shape(lake: LakeWriter) -> None:
    bring(lake)
    bring(lake, None, "text")
    assert count(lake, "raw_quality.record_shapes") == 0


def test_no_value_is_kept(lake: LakeWriter) -> None:
    canary = "canary-4713@example.org"
    fields = dict.fromkeys([*CONTRACTS["customers"].model_fields, "nickname"], canary)
    take_in(lake, "customers", [fields, {"goals": [{canary: canary}], "more": {canary: canary}}], arrival())
    kept = rows(lake, "raw_quality.record_shapes", "field")
    assert kept.height > 0
    assert not any(canary in str(value) for row in kept.iter_rows() for value in row)


@pytest.mark.parametrize("name", ["\ud800", "a\x00b", "\U0001f9ea", "'; drop table x;--", "", " "])
def test_no_name_holds_back_a_good_record(lake: LakeWriter, name: str) -> None:
    batch = bring(lake, a_session("s1") | {name: 1}, a_session("s2"))
    assert batch.loaded_count == 2
    understood = lake.read("select count(*) from lake.raw_quality.record_shapes where not is_understood")
    assert understood.item() == 1
