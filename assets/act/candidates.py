"""Reads the alert candidates of a build as the operations store takes them."""

from __future__ import annotations

import json
from datetime import UTC, date
from typing import Any

from data.lake.writer import LakeWriter
from data.operations.observe import Candidate, Rule

CANDIDATES = (
    "select alert_key, rule_code, entity_type, entity_id, severity, evidence, tutor_id, customer_id, session_id, "
    "occurred_at from lake.marts.fct_alert_candidates where as_of_date = $day order by alert_key"
)
RULES = (
    "select rule_code, title, severity, kind, cooldown_hours, audience, recommended_action "
    "from lake.rulebook.alert_rules"
)


def read_candidates(lake: LakeWriter, day: date) -> list[Candidate]:
    """Return what the rules found on a day, as it was built last."""
    return [_candidate(row) for row in lake.read(CANDIDATES, {"day": day}).to_dicts()]


def read_rules(lake: LakeWriter) -> dict[str, Rule]:
    """Return the alert rules of the build by code."""
    return {row["rule_code"]: Rule(**row) for row in lake.read(RULES).to_dicts()}


def _candidate(row: dict[str, Any]) -> Candidate:
    occurred_at = row["occurred_at"]
    return Candidate(
        **(row | {
            "evidence": json.loads(row["evidence"]),
            "occurred_at": occurred_at.replace(tzinfo=UTC) if occurred_at else None,
        })
    )  # fmt: skip
