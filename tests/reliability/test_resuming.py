"""A pull that was killed between any two commits goes on to the golden tables; so does one that was away for days."""

import pytest

from data.settings import Settings
from tests.reliability.outage import outage
from tests.reliability.resume import SHAPES, resume_all

pytestmark = pytest.mark.slow

PAGES = 4


def test_a_pull_resumes_from_every_state_that_a_kill_can_leave(state_settings: Settings) -> None:
    results = resume_all(state_settings, seed=5, pages=PAGES)
    assert [one for one in results if not one.is_golden] == []
    for shape in SHAPES:
        ways = {(one.pages_committed, one.way) for one in results if one.shape == shape}
        assert len(ways) >= 1 + 3 * PAGES


def test_after_days_of_outage_nothing_is_missing(state_settings: Settings) -> None:
    there, records, wrong = outage(state_settings, seed=5, days=1)
    assert wrong == []
    assert there == records
