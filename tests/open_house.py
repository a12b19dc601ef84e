"""A house whose steps work in the lake that the test has open."""

from dataclasses import dataclass

from assets.resources import House
from data.lake.writer import LakeWriter


@dataclass(frozen=True)
class OpenHouse(House):
    """The house as assets see it; its gate leads to an open lake."""

    writer: LakeWriter | None = None

    def lake(self) -> LakeWriter:
        """Give a writer of the open lake."""
        assert self.writer is not None
        return self.writer.again()
