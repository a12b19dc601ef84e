"""Ingestion that is killed at any of its failpoints and run again leaves the tables of an undisturbed run."""

import pytest

from data.settings import Settings
from tests.reliability.failpoints import places, stop_everywhere

pytestmark = [pytest.mark.reliability, pytest.mark.slow]


def test_every_failpoint_of_the_code_is_killed_once_and_survived(state_settings: Settings) -> None:
    stops = list(stop_everywhere(state_settings, actions=("kill",), twice=False))
    assert [stop.place for stop in stops] == places()
    assert len(stops) >= 14
    assert [stop for stop in stops if stop.wrong] == []
