"""Deliveries in other orders, in small: the tables are those of the run in order, and a wrong merge is noticed.

The long form is `python -m tests.reliability.schedules`.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.reliability.day import room
from tests.reliability.deliveries import Marketplace
from tests.reliability.schedules import LONGEST_DELAY, Bench, Schedules, by_chance, in_order

pytestmark = pytest.mark.slow

SEED = 11


@pytest.fixture(scope="module")
def schedules() -> Iterator[Schedules]:
    folder = room() / "schedules"
    bench = Bench(folder)
    yield Schedules(bench, SEED)
    bench.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("number", range(3))
def test_duplicates_delays_and_disorder_leave_the_tables_of_the_run_in_order(
    schedules: Schedules, number: int
) -> None:
    assert schedules.shuffled(number).wrong == ()


def test_a_merge_that_believes_what_came_last_is_noticed(schedules: Schedules) -> None:
    model = "intermediate.int_sessions"
    right = schedules.bench.sql[model]
    wrong = right.replace("least(updated_at", "least(ingested_at")
    assert wrong != right
    schedules.bench.sql[model] = wrong
    try:
        found = schedules.shuffled(0).wrong
    finally:
        schedules.bench.sql[model] = right
    assert any(model in one for one in found)


def test_a_schedule_brings_everything_at_least_once_and_in_time() -> None:
    sent = Marketplace(SEED).deliveries()
    taken = by_chance(sent, random.Random(SEED))
    arrived = [(at, delivery) for at, deliveries in taken for delivery in deliveries]
    content = {(one.kind, one.body, str(one.records)) for one in sent}
    assert {(one.kind, one.body, str(one.records)) for _, one in arrived} == content
    assert len(arrived) > 1.5 * len(sent)
    latest_taking = LONGEST_DELAY + timedelta(days=4)
    assert all(one.sent_at <= at <= one.sent_at + latest_taking for at, one in arrived)
    orders = [[one.name.split("_again")[0] for _, one in arrived], [one.name for one in sent]]
    assert orders[0] != orders[1]


def test_the_run_in_order_brings_everything_once() -> None:
    sent = Marketplace(SEED).deliveries()
    assert [one for _, deliveries in in_order(sent) for one in deliveries] == sent
