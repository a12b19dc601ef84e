"""Readers keep reading while a backfill writes, and never see half of it."""

from collections.abc import Iterator

import pytest

from tests.reliability.day import NEXT_NOON, copy_of_the_day
from tests.reliability.deployment import Deployment
from tests.reliability.readers import Sight, judge, readers_during_backfill

pytestmark = [pytest.mark.reliability, pytest.mark.slow]


@pytest.fixture
def deployment(day: Deployment) -> Iterator[Deployment]:
    with copy_of_the_day("readers") as copy:
        yield copy.at(NEXT_NOON)


def test_readers_see_whole_versions_only_while_a_backfill_writes(deployment: Deployment) -> None:
    findings = readers_during_backfill(deployment, readers=2, seconds=0.0, say=lambda _: None)
    assert findings.wrong == ()
    assert findings.versions == 2, (
        "readers must have seen the version before the backfill and the one after it"
    )
    assert findings.sights >= 4


def a_sight(**changes: object) -> Sight:
    plain: dict[str, object] = {
        "reader": 0,
        "version": 3,
        "as_of_date": "2026-03-02",
        "digests": {"marts.fct_daily_kpis": "36 rows"},
        "last_days": {"marts.fct_daily_kpis": "2026-03-02"},
    }
    return Sight(**(plain | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sights", "complaint"),
    [
        ([a_sight(version=4), a_sight()], "reader 0 went back to version 3"),
        ([a_sight(), a_sight(reader=1, digests={"marts.fct_daily_kpis": "37 rows"})], "in 2 ways"),
        ([a_sight(last_days={"marts.fct_daily_kpis": "2026-03-03"})], "of 2026-03-02 shows"),
        ([a_sight(last_days={"marts.rpt_tutor_overview": "2026-03-01"})], "of 2026-03-02 shows"),
    ],
)
def test_the_judge_finds_each_way_in_which_a_reader_can_see_half_a_run(
    sights: list[Sight], complaint: str
) -> None:
    assert any(complaint in line for line in judge(sights).wrong)
