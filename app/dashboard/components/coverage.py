"""What the sources do not report, said in place instead of an empty chart.

What belongs here: the sentence. What does not: deciding what a source reports (core.dim_sources).
"""

from __future__ import annotations

import polars as pl

from app.dashboard import wording
from app.dashboard.components import page

_WHAT = {
    "reports_ratings": "ratings",
    "reports_attendance": "who joined a session",
    "reports_join_minutes": "when tutors joined",
    "reports_calls": "support calls",
    "reports_goals": "goals",
    "reports_availability": "availability of tutors",
    "reports_customers": "customers",
    "reports_tutors": "tutors",
}


def reported(sources: pl.DataFrame, column: str) -> bool:
    """Return whether any source reports this; True while no source is known."""
    return sources.is_empty() or bool(sources[column].fill_null(False).any())


def say_missing(sources: pl.DataFrame, column: str, consequence: str) -> bool:
    """Say so when no source reports this, and return whether it was said."""
    if reported(sources, column):
        return False
    names = wording.listed([wording.label(name) for name in sources["source"].to_list()])
    page.empty(f"No source reports {_WHAT[column]}.", f"Connected: {names}. {consequence}")
    return True
