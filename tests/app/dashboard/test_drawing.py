"""Charts, files, sentences: pure parts of the pages."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dashboard_tables
import polars as pl
import pytest

from app.dashboard import advice, charts, health, queries, wording
from app.dashboard.components import export, page, score, shortages
from app.dashboard.palette import palette, tone_of
from app.dashboard.rulebook import Rulebook
from data.settings import Settings

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    return Rulebook(pl.DataFrame(dashboard_tables.rulebook_rows(Settings())))


def days(count: int = 5) -> pl.DataFrame:
    start = date(2026, 3, 1)
    return pl.DataFrame(
        {
            "date": [start + timedelta(days=n) for n in range(count)],
            "held": list(range(count)),
            "missed": [1] * count,
        }
    )


def test_every_chart_is_a_specification_in_the_look_of_the_house() -> None:
    hours = [datetime(2026, 3, 1, hour) for hour in range(24)]
    scores = pl.DataFrame(
        {
            "as_of_date": days()["date"],
            "score": [50.0, 60.0, None, 70.0, 80.0],
            "tier": ["x"] * 5,
            "lower_bound": [None] * 5,
            "upper_bound": [None] * 5,
            "sample_size": [3] * 5,
        }
    )
    bars = {"label": ["a"], "value": [0.5], "sample": [4], "tone": ["red"], "text": ["50 %  n 4"]}
    made = [
        charts.score_over_time(scores, floors=[("Monitor", 55.0)]),
        charts.bars_with_benchmark(pl.DataFrame(bars), benchmark=0.7, title="rate"),
        charts.hours_of_day(pl.DataFrame({"hour": [1, 2], "sessions": [3, 4], "usual": [2.0, None]})),
        charts.days(days(), value="held", title="sessions", target=3.0),
        charts.stacked_days(
            days(), parts=(("held", "Held", "accent"), ("missed", "Missed", "red")), title="sessions"
        ),
        charts.forecast(
            pl.DataFrame({"hour_local": hours, "demand": 1.0, "supply": 2.0, "low": 0.5, "high": 2.0}),
            unit="tutor hours",
        ),
        charts.forecast(
            pl.DataFrame({"hour_local": hours, "demand": 1.0, "low": 0.5, "high": 2.0}), unit="sessions"
        ),
        charts.week_heatmap(
            pl.DataFrame({"weekday": ["Mon"], "hour": [9], "value": [1.0]}), value="value", title="h"
        ),
    ]
    for chart in made:
        spec = chart.to_dict()
        assert spec["config"]["background"] == palette().ground
        assert json.dumps(spec)


def test_days_and_hours_do_not_move_with_the_zone_of_the_browser() -> None:
    spec = json.dumps(charts.days(days(), value="held", title="sessions").to_dict())
    assert '"temporal"' not in spec
    hours = pl.DataFrame(
        {"hour_local": [NOON.replace(tzinfo=None)], "demand": 1.0, "supply": 1.0, "low": 1.0, "high": 1.0}
    )
    for layer in charts.forecast(hours, unit="tutor hours").to_dict()["layer"]:
        assert layer["encoding"]["x"]["scale"] == {"type": "utc"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "\n=", "＝"])
def test_a_spreadsheet_runs_nothing_of_an_export(start: str) -> None:
    text = f'{start}HYPERLINK("http://x","y"),"z"\n2'
    body = export.csv_bytes([{"name": text, "score": -3.5, "nothing": None}])
    rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))
    assert rows[0] == ["name", "score", "nothing"]
    assert rows[1][0] == f"'{text}"
    assert rows[1][1:] == ["-3.5", ""]


def test_a_waterfall_starts_at_the_base_and_ends_at_the_score(rulebook: Rulebook) -> None:
    formula = rulebook.formula("THS")
    parts = [
        {"name": "reschedules", "value": 0.5, "weight": 40.0, "points": -20.0},
        {"name": "no_shows", "value": 0.0, "weight": 30.0, "points": -0.0},
        {"name": "lateness", "value": None, "weight": 30.0, "points": None},
    ]
    bars = score.waterfall(formula, parts, {"score": 80.0})
    assert bars["label"].to_list() == ["Start", "Reschedules", "No shows", "Lateness", "Tutor health"]
    assert bars["tone"].to_list() == ["grey", "red", "grey", "grey", "accent"]
    assert (bars["start"][1], bars["stop"][1]) == (80.0, 100.0)


def test_a_clamped_score_shows_what_the_clamp_took(rulebook: Rulebook) -> None:
    parts = [
        {"name": "low_activity", "value": 1.0, "weight": 0.5, "points": 0.5},
        {"name": "inconsistency", "value": 1.0, "weight": 0.45, "points": 0.45},
        {"name": "declining", "value": 1.0, "weight": 0.4, "points": 0.4},
    ]
    bars = score.waterfall(rulebook.formula("TCRS"), parts, {"score": 1.0})
    assert bars["label"][-2] == "Kept within 0 to 1"
    assert bars["text"][-2] == "−0.35"


def test_tiers_and_limits_come_from_the_rulebook(rulebook: Rulebook) -> None:
    health = rulebook.formula("HEALTH")
    assert [tier.lower_bound for tier in health.tiers] == [0, 41, 71, 86]
    assert health.tone("critical") == "red"
    assert rulebook.kpi_tone("no_show_rate_7d", 0.05) == "red"
    assert rulebook.kpi_tone("no_show_rate_7d", 0.015) == "green"
    assert rulebook.kpi_tone("rating_7d", 4.1) == "amber"
    assert rulebook.kpi_tone("rating_7d", None) == ""
    assert rulebook.kpi_tone("no such figure", 1) == ""


def test_the_next_step_is_the_part_with_the_most_to_win(rulebook: Rulebook) -> None:
    row = {"health_score": 50.0, "health_tier": "at_risk", "velocity_points": 0.0, "calls_points": 0.0,
           "goals_points": None, "first_session_points": 100.0}  # fmt: skip
    step = advice.next_step(row, rulebook.formula("HEALTH"))
    assert step is not None
    assert (step.component, step.points_to_win, step.urgency) == ("velocity", 25.0, "this week")
    assert advice.next_step({**row, "health_score": None}, rulebook.formula("HEALTH")) is None


def test_hours_in_a_row_are_one_shortage(rulebook: Rulebook) -> None:
    def hour(number: int, ratio: float, subject: str = "algebra") -> dict[str, Any]:
        return {
            "subject_id": subject, "hour_start_at": datetime(2026, 3, 3, number), "ratio": ratio, "p_shortage": 0.9,
            "expected_unmet_sessions": 2.0,
        }  # fmt: skip

    rows = pl.DataFrame([hour(9, 0.7), hour(10, 0.4), hour(12, 0.7), hour(9, 0.79, "physics"), hour(11, 0.9)])
    found = shortages.blocks(rows, rulebook)
    assert [(one.subject_id, one.starts_at.hour, one.hours, one.is_severe) for one in found] == [
        ("algebra", 9, 2, True),
        ("physics", 9, 1, False),
        ("algebra", 12, 1, False),
    ]


@pytest.mark.parametrize(
    ("seconds", "said"), [(20, "under a minute"), (180, "3 min"), (7500, "2 h 5 min"), (86400 * 3, "3 days")]
)
def test_ages_are_said_shortly(seconds: int, said: str) -> None:
    assert wording.span(seconds) == said


def test_what_is_not_known_is_a_dash_and_never_a_zero() -> None:
    assert {wording.number(None), wording.percent(float("nan")), wording.clock(None, "UTC")} == {
        wording.NOTHING
    }


def test_text_from_outside_is_no_markdown() -> None:
    assert page.plain("**x** [a](javascript:b) <i>") == "\\*\\*x\\*\\* \\[a\\](javascript:b) \\<i\\>"


def test_every_severity_and_status_has_a_tone() -> None:
    assert [tone_of(word) for word in ("critical", "high", "open", "resolved", None)] == [
        "red", "amber", "accent", "green", "grey",
    ]  # fmt: skip


SOURCES = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (queries, health)]


def test_every_question_asks_for_contracted_columns_of_one_relation() -> None:
    contracts = dashboard_tables.contracts(Settings().dbt_project_path)
    constants = {"SESSION_COLUMNS": queries.SESSION_COLUMNS, "TUTOR_COLUMNS": queries.TUTOR_COLUMNS,
                 "SCORE_COLUMNS": queries.SCORE_COLUMNS}  # fmt: skip
    asked = re.findall(
        r'rows_of\(\s*lens,\s*"\w+",\s*"([\w.]+)",\s*((?:f?"[^"]*"\s*)+|\w+),', "".join(SOURCES)
    )
    assert len(asked) >= 26
    for relation, text in asked:
        said = constants.get(text.strip()) or "".join(re.findall(r'"([^"]*)"', text))
        said = said.replace("{SCORE_COLUMNS}", queries.SCORE_COLUMNS).replace("distinct ", "")
        columns = {name.strip() for name in said.split(",")}
        assert columns <= {name for name, _ in contracts[relation]}, relation


def test_no_question_joins_or_groups() -> None:
    for source in SOURCES:
        code = source.split('"""', 2)[2]
        assert not re.search(r"\bjoin\b\s+\w+\.|\bgroup by\b", code, flags=re.IGNORECASE)
