"""What a mail says, before it is set: plain frozen records, filled by the caller, laid out by render.py.

What belongs here: the fields of each mail. What does not: markup, subjects, who gets it.
Names are already joined and scoped by the caller; every text may contain anything and is escaped when set.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from notifications.policy import Severity


@dataclass(frozen=True)
class EvidenceLine:
    """One number with its name: ("Late", "14 min")."""

    label: str
    value: str


@dataclass(frozen=True)
class Footer:
    """Where the numbers come from, and where to change what is mailed. time_zone is an IANA name."""

    version: int | None
    published_at: datetime | None
    time_zone: str
    preferences_url: str | None = None


@dataclass(frozen=True)
class AlertContent:
    """One alert. about: who or what ("Dana Whitfield"); about_detail: which kind ("Tutor T-1042")."""

    severity: Severity
    title: str
    about: str
    about_detail: str
    evidence: tuple[EvidenceLine, ...]
    recommended_action: str
    url: str
    happened_at: datetime | None = None
    previous_severity: Severity | None = None


@dataclass(frozen=True)
class DigestItem:
    """One line of a digest: what, about whom, why (evidence in one line), what to do. note: what changed."""

    severity: Severity
    title: str
    about: str
    evidence: str
    recommended_action: str
    url: str
    note: str = ""


@dataclass(frozen=True)
class Metric:
    """One key number of the operator's digest, with its change in words ("4 % fewer than last Monday")."""

    label: str
    value: str
    change: str = ""


@dataclass(frozen=True)
class DigestContent:
    """A day's short list."""

    reader: Literal["coach", "operator"]
    name: str
    day: date
    url: str
    new: tuple[DigestItem, ...] = ()
    worse: tuple[DigestItem, ...] = ()
    still_open: tuple[DigestItem, ...] = ()
    resolved: tuple[DigestItem, ...] = ()
    metrics: tuple[Metric, ...] = ()
    shortages: tuple[DigestItem, ...] = ()


@dataclass(frozen=True)
class SystemFailure:
    """Something of ours does not work: the thing, the cause, the next step."""

    what: str
    cause: str
    next_step: str
    since: datetime
    url: str
    details: tuple[EvidenceLine, ...] = field(default=())


@dataclass(frozen=True)
class SetupLink:
    """A one-time link to choose a password."""

    name: str
    invited_by: str
    url: str
    expires_at: datetime


@dataclass(frozen=True)
class RefusalCause:
    """Records of a file that were refused for one reason. where: the first of them ("line 17, line 240")."""

    field: str
    reason: str
    count: int
    where: str


@dataclass(frozen=True)
class ImportOutcome:
    """What became of a file that somebody sent. Refused values are never in it: they can hold anything.

    what: which records it held ("sessions"); source: the feed; counts: the account, in words.
    """

    file_name: str
    what: str
    source: str
    describes: str
    read_count: int
    refused_count: int
    counts: tuple[EvidenceLine, ...]
    refusals: tuple[RefusalCause, ...] = ()
    empty_fields: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
