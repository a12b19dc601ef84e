"""What assets work with: the settings of this deployment, its clock, and the gates to its two stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property

from data.clock import Clock, business_date, clock_from
from data.contracts import Correction, Kind
from data.lake.writer import KeptLake, LakeWriter, open_writer
from data.landing import Landing
from data.operations.corrections import corrections_for, released_at
from data.operations.store import Operations, open_operations
from data.postgres import advisory_lock, engine_for, open_postgres
from data.settings import Settings, get_settings

WRITER_POOL = "lake_writer"
"""Pool of everything that builds or publishes. Runs of it wait in the queue for each other; the advisory lock below
keeps out what does not come through the queue."""


@dataclass(frozen=True)
class House:
    """The deployment as assets see it. One resource, so that tests swap the whole house at once."""

    settings: Settings
    clock: Clock
    kept: KeptLake | None = field(default=None, compare=False)

    @classmethod
    def of_environment(cls) -> House:
        """Return the house that the environment describes."""
        settings = get_settings()
        return cls(settings, clock_from(settings))

    def today(self) -> date:
        """Return the business date of this moment."""
        return business_date(self.clock.now(), self.settings.business_time_zone)

    def lake(self) -> LakeWriter:
        """Open the write gate of the lake for the length of a step."""
        return self.kept.writer() if self.kept else open_writer(self.settings)

    @contextmanager
    def for_a_run(self) -> Iterator[House]:
        """Give the house whose steps share one attached lake."""
        with closing(KeptLake(self.settings)) as kept:
            yield replace(self, kept=kept)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other run builds or publishes, and keep others out. A killed process lets go at once."""
        with advisory_lock(engine_for(open_postgres(self.settings).url("lake")), "lake.build"):
            yield

    @cached_property
    def operations(self) -> Operations:
        """The store of what people decided."""
        return open_operations(open_postgres(self.settings))

    def corrections(self, source: str, kind: Kind) -> tuple[Correction, ...]:
        """Return what was decided about the habits of one feed, to be applied to its records."""
        with self.operations.session() as session:
            return corrections_for(session, source=source, kind=kind)

    def feed_released_at(self, kind: Kind) -> datetime | None:
        """Return when somebody last let a feed be pulled again that had failed for good."""
        with self.operations.session() as session:
            return released_at(session, kind)

    @cached_property
    def landing(self) -> Landing:
        """The folder of webhook messages."""
        return Landing(self.settings.landing_path)


class Turn:
    """The right to build and publish. A step that asks for it keeps it until its run ends."""
