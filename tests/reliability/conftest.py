"""The tiny day, lived once per test run and shared with the journeys."""

from collections.abc import Iterator

import pytest

from tests.reliability.day import leave, tiny_day
from tests.reliability.deployment import Deployment


@pytest.fixture(scope="session")
def day() -> Iterator[Deployment]:
    """The deployment after its day, to look at only."""
    yield tiny_day()
    leave()
