"""Questions about the data itself to the published version: what was read, refused and changed, and how good it is.

What belongs here: which columns answer a question, as in queries.py. What does not: refused records and decisions about
them (quarantine.py), published versions (history.py).
"""

from __future__ import annotations

import polars as pl

from app.dashboard.components.page import Lens
from app.dashboard.queries import rows_of


def ingestion_quality(lens: Lens) -> pl.DataFrame:
    """Return what was read by source, kind and day and what became of it, newest first."""
    return rows_of(
        lens,
        "see_data_health",
        "marts.rpt_ingestion_quality",
        "source, kind, as_of_date, batch_count, read_count, loaded_count, duplicate_count, quarantined_count, "
        "replayed_count, quarantined_rate, is_conserved, last_finished_at",
        order="as_of_date desc, source, kind",
    )


def quarantine(lens: Lens) -> pl.DataFrame:
    """Return the causes of refusals, those with the most waiting records first."""
    return rows_of(
        lens,
        "see_data_health",
        "marts.rpt_quarantine",
        "source, kind, field, reason, waiting_count, settled_count, sighting_count, affected_day_count, "
        "example_record_id, first_seen_at, last_seen_at",
        order="waiting_count desc, settled_count desc, source, kind, field, reason",
    )


def source_freshness(lens: Lens) -> pl.DataFrame:
    """Return how old the newest news of each feed is, and how its last try went."""
    return rows_of(
        lens,
        "see_data_health",
        "marts.rpt_source_freshness",
        "source, kind, hours_since_read, hours_since_loaded, hours_since_change, last_as_of_date, "
        "last_changed_at, last_read_at, last_loaded_at, last_reason, next_try_at, cursor_at, is_late, is_silent, "
        "is_held, is_failing, is_unusually_quiet, is_clock_off",
        where="as_of_date = (select max(as_of_date) from marts.rpt_source_freshness)",
        order="source, kind",
    )


def source_quality(lens: Lens) -> pl.DataFrame:
    """Return the data-quality score of each feed by day with its parts and its trend, oldest first."""
    return rows_of(
        lens,
        "see_data_health",
        "marts.rpt_source_quality",
        "source, kind, as_of_date, score, usual_score, score_change, validity_rate, completeness_rate, "
        "references_rate, punctuality_rate, read_count, quarantined_count, unknown_count, not_scored_reason, "
        "is_refusing_much",
        order="source, kind, as_of_date",
    )


def contract_drift(lens: Lens) -> pl.DataFrame:
    """Return how the newest records of a feed differ from its habit, what something depends on first."""
    return rows_of(
        lens,
        "see_data_health",
        "marts.rpt_contract_drift",
        "source, kind, field, change, value_type, usual_value_type, share, usual_share, is_understood, since_at, "
        "last_batch_at",
        order="is_understood desc, source, kind, field, change",
    )


def feed_volume(lens: Lens) -> pl.DataFrame:
    """Return how many new records each feed brought by day against its own rhythm, newest first."""
    return rows_of(
        lens,
        "see_data_health",
        "marts.rpt_feed_volume",
        "source, kind, as_of_date, record_count, week_count, usual_count, low_count, high_count, is_unusual",
        order="as_of_date desc, source, kind",
    )
