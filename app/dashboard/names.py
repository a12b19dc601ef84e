"""Names of people, joined at the door: only for roles that may see them, and only for ids already at hand.

What belongs here: the newest name per id. What does not: anything else personal; marts carry ids only.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app.dashboard import access, stores
from app.dashboard.components.page import Lens

_SQL = {
    "tutors": (
        "select tutor_id as id, full_name from pii.tutors where full_name is not null "
        "qualify row_number() over (partition by tutor_id order by ingested_at desc, version_hash desc) = 1"
    ),
    "customers": (
        "select customer_id as id, full_name from pii.customers where full_name is not null "
        "qualify row_number() over (partition by customer_id order by ingested_at desc, version_hash desc) = 1"
    ),
}


@dataclass(frozen=True)
class Names:
    """Who is who, for one person at one version. Without permission every name is its id."""

    by_tutor: dict[str, str]
    by_customer: dict[str, str]

    def tutor(self, tutor_id: str | None) -> str:
        """Return a tutor's name, or their id where the name is unknown or not for this role."""
        return self.by_tutor.get(tutor_id or "", tutor_id or "unknown tutor")

    def customer(self, customer_id: str | None) -> str:
        """Return a customer's name, or their id where the name is unknown or not for this role."""
        return self.by_customer.get(customer_id or "", customer_id or "unknown customer")


def names(lens: Lens) -> Names:
    """Return the names that this person may see."""
    if not access.may(lens.person, "see_names"):
        return Names({}, {})
    state, snapshot = str(stores.settings().state), lens.published.snapshot_id
    # Names have no versions: an erased one must be gone with the next look, not with the next publication.
    newest = stores.reader(snapshot, personal=True).personal_snapshot_id()
    return Names(_names(state, snapshot, newest, "tutors"), _names(state, snapshot, newest, "customers"))


@st.cache_data(max_entries=8, show_spinner=False)
def _names(state: str, snapshot_id: int, personal_snapshot_id: int, kind: str) -> dict[str, str]:
    rows = stores.reader(snapshot_id, personal=True).query(_SQL[kind])
    return dict(rows.iter_rows())
