"""What a world is made from: the profile, the seed, the anchor. No randomness is drawn here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zlib import crc32

import numpy as np

Family = Literal["multiplicative", "bursty"]
TIME_ZONE = "America/New_York"
FUTURE_DAYS = 21
SUBJECTS = (
    "algebra",
    "calculus",
    "chemistry",
    "physics",
    "biology",
    "english",
    "statistics",
    "geometry",
    "spanish",
    "history",
    "economics",
    "programming",
)


@dataclass(frozen=True)
class Profile:
    """The size of a world."""

    name: str
    tutors: int
    customers: int
    days: int
    sessions_per_day: float
    subjects: int


PROFILES = {
    "tiny": Profile("tiny", tutors=12, customers=40, days=35, sessions_per_day=12, subjects=6),
    "demo": Profile("demo", tutors=90, customers=2_400, days=410, sessions_per_day=262, subjects=12),
    "full": Profile("full", tutors=1_000, customers=12_000, days=400, sessions_per_day=3_020, subjects=12),
}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a world: two equal recipes give byte-equal files."""

    profile: Profile
    seed: int
    until: datetime
    family: Family = "multiplicative"
    null_twin: bool = False

    def stream(self, name: str) -> np.random.Generator:
        """One named source of randomness, so that adding a draw in one place moves no other."""
        return np.random.default_rng([self.seed, crc32(name.encode())])

    @property
    def on(self) -> float:
        """1.0 where effects are planted, 0.0 in the null twin."""
        return 0.0 if self.null_twin else 1.0

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects taught, the busiest first."""
        return SUBJECTS[: self.profile.subjects]
