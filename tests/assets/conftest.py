"""A house whose steps share the lake that this process has open: opening one costs more than most steps."""

from collections.abc import Callable
from datetime import datetime

import pytest

from assets.resources import House
from data.clock import FixedClock
from data.lake.writer import LakeWriter
from data.operations.store import Operations
from data.settings import Settings
from tests.open_house import OpenHouse

HouseAt = Callable[[datetime], House]


@pytest.fixture
def house_at(state_settings: Settings, operations: Operations, lake: LakeWriter) -> HouseAt:
    """Give the house at an instant."""
    return lambda instant: OpenHouse(state_settings, FixedClock(instant), writer=lake)
