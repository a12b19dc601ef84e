"""When a change becomes a mail, to whom, and how many make one. Pure: changes in, deliveries out.

What belongs here: at once, within the hour, or digest; bursts; opt-outs. What does not: the words
(render.py), who coaches whom (handed in), keeping and sending (the outbox).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Severity = Literal["low", "medium", "high", "critical"]
ChangeKind = Literal["opened", "updated", "severity_raised", "auto_resolved", "reopened"]
Audience = Literal["coach", "operator", "engineer"]
Timing = Literal["at_once", "within_the_hour", "digest"]
Section = Literal["new", "worse", "still_open", "resolved"]

SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
NEWS = timedelta(hours=24)
"""Something that happened longer ago is no news; it waits for the digest."""
GATHERING = timedelta(minutes=15)
"""How long a mail "within the hour" waits: alerts that close by themselves meanwhile are never mailed."""
MOST_SINGLE_MAILS = 5
"""More criticals than this for one person in one pass make one mail."""


@dataclass(frozen=True)
class Recipient:
    """A person or desk that gets mail. opt_outs are kinds of mail ("alert", "digest") or rule codes."""

    address: str
    name: str
    at_once: frozenset[Severity] = frozenset({"critical"})
    opt_outs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Change:
    """What the policy needs to know of one change of an alert episode."""

    episode_id: str
    kind: ChangeKind
    rule_code: str
    severity: Severity
    audience: Audience
    tutor_id: str | None = None
    is_baseline: bool = False
    occurred_at: datetime | None = None


@dataclass(frozen=True)
class Delivery:
    """One mail to compose: to whom, not before when, about which changes (more than one: a list)."""

    recipient: Recipient
    timing: Literal["at_once", "within_the_hour"]
    not_before: datetime
    changes: tuple[Change, ...]

    @property
    def is_list(self) -> bool:
        """Whether it tells of several alerts in one mail."""
        return len(self.changes) > 1

    @property
    def is_urgent(self) -> bool:
        """Whether a critical alert is in it, which nobody can opt out of."""
        return any(change.severity == "critical" for change in self.changes)


@dataclass(frozen=True)
class Desks:
    """Where mail goes that is nobody's in particular."""

    operations: Recipient
    engineering: Recipient


def timing(change: Change, recipient: Recipient, *, now: datetime) -> Timing:
    """Return when a person hears of a change: critical at once, high within the hour, the rest by digest.

    The stock found by a rule's first pass, and what happened more than a day ago, wait for the digest.
    People can ask for milder severities at once, or opt out of anything that is not critical.
    """
    if change.kind not in ("opened", "severity_raised") or change.is_baseline:
        return "digest"
    if change.occurred_at is not None and now - change.occurred_at > NEWS:
        return "digest"
    if change.severity == "critical":
        return "at_once"
    if recipient.opt_outs & {"alert", change.rule_code}:
        return "digest"
    if change.severity in recipient.at_once:
        return "at_once"
    return "within_the_hour" if change.severity == "high" else "digest"


def recipient_of(change: Change, *, coach_of: Callable[[str], Recipient | None], desks: Desks) -> Recipient:
    """Return who hears of a change: the tutor's coach, the engineers, or else the operations desk."""
    if change.audience == "engineer":
        return desks.engineering
    if change.audience == "coach" and change.tutor_id is not None:
        return coach_of(change.tutor_id) or desks.operations
    return desks.operations


def plan(
    changes: Sequence[Change],
    *,
    coach_of: Callable[[str], Recipient | None],
    desks: Desks,
    now: datetime,
) -> list[Delivery]:
    """Return the mails that one pass makes, in a stable order. What is left for the digest is not in it.

    At once: one mail each, or one for all when there are more than five for one person. Within the hour:
    always one mail per person.
    """
    waiting: dict[tuple[str, Timing], tuple[Recipient, list[Change]]] = {}
    for change in changes:
        recipient = recipient_of(change, coach_of=coach_of, desks=desks)
        when = timing(change, recipient, now=now)
        if when != "digest":
            waiting.setdefault((recipient.address, when), (recipient, []))[1].append(change)
    deliveries: list[Delivery] = []
    for (_, when), (recipient, theirs) in sorted(waiting.items(), key=lambda item: item[0]):
        ordered = sorted(theirs, key=_worst_first)
        if when == "within_the_hour":
            deliveries.append(Delivery(recipient, "within_the_hour", now + GATHERING, tuple(ordered)))
        elif len(ordered) > MOST_SINGLE_MAILS:
            deliveries.append(Delivery(recipient, "at_once", now, tuple(ordered)))
        else:
            deliveries.extend(Delivery(recipient, "at_once", now, (change,)) for change in ordered)
    return deliveries


def wants_digest(recipient: Recipient) -> bool:
    """Whether a person gets the daily digest."""
    return "digest" not in recipient.opt_outs


def digest_section(
    *, opened_at: datetime, worse_at: datetime | None, closed_at: datetime | None, since: datetime
) -> Section | None:
    """Return where an episode stands in a digest that covers everything after `since`.

    None for one that was closed before. One that opened and closed in between is told as resolved.
    """
    if closed_at is not None:
        return "resolved" if closed_at > since else None
    if opened_at > since:
        return "new"
    return "worse" if worse_at is not None and worse_at > since else "still_open"


def worst(severities: Iterable[Severity]) -> Severity:
    """Return the worst of some severities. Raises ValueError when there are none."""
    return max(severities, key=SEVERITIES.index)


def _worst_first(change: Change) -> tuple[int, str, str]:
    return (-SEVERITIES.index(change.severity), change.rule_code, change.episode_id)
