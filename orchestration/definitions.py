"""The door that Dagster opens. Everything behind it is built in build.py."""

import dagster as dg

from assets.resources import House
from orchestration.build import build_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of this deployment."""
    return build_definitions(House.of_environment())
