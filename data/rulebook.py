"""Reads the rulebook's CSV files for callers that must decide before anything is published.

What belongs here: typed rows of the seeds. What does not: a number of our own, or a rule in Python.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import polars as pl
from jinja2 import Environment, StrictUndefined

from data.operations.observe import Rule
from data.settings import Settings

TRUTHS_MACRO = "session_truths.sql"


def seed(settings: Settings, name: str) -> pl.DataFrame:
    """Return one seed of the rulebook as it stands in the project."""
    file = settings.rulebook_path / f"{name}.csv"
    if not file.exists():
        raise FileNotFoundError(f"the rulebook has no {name}.csv in {settings.rulebook_path}")
    return pl.read_csv(file, infer_schema_length=None)


def alert_rules(settings: Settings) -> dict[str, Rule]:
    """Return the alert rules by code."""
    return {
        row["rule_code"]: Rule(
            rule_code=row["rule_code"],
            title=row["title"],
            severity=row["severity"],
            kind=row["kind"],
            cooldown_hours=float(row["cooldown_hours"]),
            audience=row["audience"],
            recommended_action=row["recommended_action"],
        )
        for row in seed(settings, "alert_rules").to_dicts()
    }


def parameter(settings: Settings, name: str) -> float:
    """Return one parameter of the scores. Raises KeyError naming it if the rulebook does not have it."""
    rows = seed(settings, "score_parameters").filter(pl.col("parameter") == name)
    if rows.is_empty():
        raise KeyError(f"the rulebook has no parameter {name}")
    return float(rows["value"][0])


@lru_cache(maxsize=4)
def _macros(file: Path) -> object:
    # Only text of the project's own is rendered, and only into SQL over one in-memory row.
    return Environment(undefined=StrictUndefined, autoescape=False).from_string(file.read_text()).module


def session_flags_sql(settings: Settings, *, records: str, rules: str) -> str:
    """Return the SQL that flags sessions, rendered from the very macros that dbt uses.

    records: a relation with the fields of session records plus is_first; rules: the seed session_flag_rules.
    """
    macros = _macros(settings.dbt_project_path / "macros" / TRUTHS_MACRO)
    grace = parameter(settings, "late_grace_minutes")
    truths = macros.session_truths(records, grace)  # type: ignore[attr-defined]
    flags = macros.session_flags("truths", rules)  # type: ignore[attr-defined]
    return f"with truths as ({truths}), flags as ({flags}) select * from flags order by session_id, rule_code"
