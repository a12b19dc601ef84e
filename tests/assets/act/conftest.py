"""A house on the stores of this process: an empty operations store, and an empty outbox folder."""

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from act_builders import MADE_UP, NOON

from assets.resources import House
from data.clock import FixedClock
from data.lake.writer import LakeWriter
from data.operations.store import Operations
from data.settings import Settings


@pytest.fixture
def house(state_settings: Settings, operations: Operations) -> House:
    shutil.rmtree(state_settings.outbox_path, ignore_errors=True)
    return House(state_settings, FixedClock(NOON))


@pytest.fixture
def acting(house: House, house_at: Callable[[datetime], House]) -> House:
    """The same house with the lake open."""
    return house_at(NOON)


@pytest.fixture
def marts(lake: LakeWriter) -> Iterator[LakeWriter]:
    """The lake, for made-up marts that are gone afterwards."""
    yield lake
    for relation in MADE_UP:
        lake.connection.execute(f"drop table if exists lake.{relation}")
