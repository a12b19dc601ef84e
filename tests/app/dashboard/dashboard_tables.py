"""The relations that the dashboard reads, made from dbt's contracts: a column renamed there fails here."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import yaml

from data.lake.writer import LakeWriter
from data.settings import Settings

ZONE = ZoneInfo("America/New_York")
SUBJECTS = ("algebra", "biology", "chemistry", "english", "physics", "spanish")
CONTRACT_FOLDERS = ("core", "marts")

Row = dict[str, Any]


@cache
def contracts(dbt_project: Path) -> dict[str, list[tuple[str, str]]]:
    """Return column names and types of every contracted relation, by schema.table."""
    found: dict[str, list[tuple[str, str]]] = {}
    for folder in CONTRACT_FOLDERS:
        for path in sorted((dbt_project / "models" / folder).glob("*.yml")):
            for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
                columns = [(c["name"], c["data_type"]) for c in model.get("columns", []) if "data_type" in c]
                if columns:
                    found[f"{folder}.{model['name']}"] = columns
    return found


def build(writer: LakeWriter, settings: Settings, frames: Mapping[str, Sequence[Row]]) -> int:
    """Create the contracted relations with these rows and return the snapshot to publish."""
    with writer.transaction():
        for relation, columns in contracts(settings.dbt_project_path).items():
            listed = ", ".join(f'"{name}" {kind}' for name, kind in columns)
            writer.connection.execute(f"create or replace table lake.{relation} ({listed})")
            rows = frames.get(relation, ())
            if rows:
                writer.append(relation, pl.DataFrame(list(rows), infer_schema_length=None))
    return writer.snapshot_id()


def rulebook_rows(settings: Settings) -> list[Row]:
    """Return marts.rpt_rulebook as dbt makes it from the seeds."""
    entry_of = {
        "score_definitions": ("score_code", "formula_version"),
        "score_weights": ("score_code", "formula_version", "component"),
        "score_tiers": ("score_code", "formula_version", "tier"),
        "score_parameters": ("parameter",),
        "forecast_limits": ("limit_name",),
        "kpi_targets": ("kpi",),
        "quality_weights": ("component",),
        "quality_limits": ("limit_name",),
        "alert_rules": ("rule_code",),
    }
    rows = [
        _entry("windows", "first_session_window_days", "value", "90"),
        _entry("windows", "baseline_weeks", "value", "4"),
    ]
    for book, keys in entry_of.items():
        with (settings.rulebook_path / f"{book}.csv").open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                entry = ":".join(line[key] for key in keys)
                rows += [_entry(book, entry, name, value) for name, value in line.items() if value != ""]
    return rows


def _entry(book: str, entry: str, attribute: str, value: str) -> Row:
    try:
        number: float | None = float(value)
    except ValueError:
        number = None
    return {"book": book, "entry": entry, "attribute": attribute, "value": value, "number_value": number}


def write_personal(writer: LakeWriter, rows: Mapping[str, Iterable[Row]]) -> None:
    """Write names where names live."""
    for relation, lines in rows.items():
        writer.append(relation, pl.DataFrame(list(lines), infer_schema_length=None))
