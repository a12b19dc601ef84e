"""Which role may see and do what: one table, one function, called by every query and every action.

What belongs here: permissions and a coach's scope. What does not: who is asking (identity.py), hiding a
button (views may, for comfort; the check here is the one that counts).
"""

from __future__ import annotations

from typing import Literal

from app.dashboard.identity import Person
from data.operations.tables import Role

Permission = Literal[
    "see_overview",
    "see_tutors",
    "see_customers",
    "see_supply",
    "see_alerts",
    "see_data_health",
    "see_names",
    "act_on_alerts",
    "export",
    "roll_back",
    "mend_data",
]

_EVERYBODY: frozenset[Role] = frozenset({"admin", "engineer", "analyst", "coach", "viewer"})
_STAFF: frozenset[Role] = _EVERYBODY - {"viewer"}

ALLOWED: dict[Permission, frozenset[Role]] = {
    "see_overview": _EVERYBODY,
    "see_tutors": _EVERYBODY,
    "see_customers": _EVERYBODY,
    "see_supply": _EVERYBODY - {"coach"},
    "see_alerts": _EVERYBODY,
    "see_data_health": frozenset({"admin", "engineer", "analyst"}),
    "see_names": _STAFF,
    "act_on_alerts": _STAFF,
    "export": _STAFF,
    "roll_back": frozenset({"admin", "engineer"}),
    "mend_data": frozenset({"admin", "engineer"}),
}


class AccessDenied(PermissionError):
    """The person may not do this; the message is for that person."""


def may(person: Person | None, permission: Permission) -> bool:
    """Return whether a person has a permission at all. Nobody has none."""
    return person is not None and person.role in ALLOWED[permission]


def require(
    person: Person | None, permission: Permission, *, tutor_ids: frozenset[str] | None = None
) -> Person:
    """Return the person if they may do this, to all of these tutors if any are named.

    Raises AccessDenied for nobody, for a role without the permission, and for tutors off a coach's roster.
    """
    if person is None:
        raise AccessDenied("Your session has ended. Sign in again.")
    if not may(person, permission):
        raise AccessDenied(f"The role {person.role} may not {permission.replace('_', ' ')}.")
    if tutor_ids is not None and person.roster is not None and not tutor_ids <= person.roster:
        raise AccessDenied("This is not on your roster.")
    return person
