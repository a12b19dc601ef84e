"""The planted truth is complete, it is really in the data, and the null twin has none of it."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from conftest import lived

from app.mock_rails.world.build import World, load_world

ROOT = Path(__file__).resolve().parents[3]
FINISHED = pl.col("status") == "finished"
CONTRACT = {
    "profile", "seed", "family", "null_twin", "remains_in_null_twin", "subjects", "outage", "breaks",
    "holidays", "day_shocks", "days", "tutors", "no_show_context", "churn", "customers", "interventions",
    "experiments", "anomalies", "patterns", "dialogues", "source_oddities",
}  # fmt: skip


def rate(frame: pl.DataFrame, condition: pl.Expr) -> float:
    return float(frame.select(condition.cast(pl.Float64).mean()).item())


def test_the_truth_lists_everything_the_contract_names(demo_truth: dict[str, Any]) -> None:
    truth = demo_truth
    assert set(truth) == CONTRACT
    assert len(truth["subjects"]) == 12
    assert all(np.shape(one["week_rate"]) == (7, 24) for one in truth["subjects"])
    assert sum(one["level_shift"] is not None for one in truth["subjects"]) == 1
    assert sum(one["shortage"] is not None for one in truth["subjects"]) == 1
    assert truth["outage"]["date"]
    assert len([one for one in truth["breaks"] if one["factor"] < 0.8]) >= 2
    assert len(truth["tutors"]) == 90
    assert {"true_quality", "true_no_show_rate", "decline_date", "leave"} <= set(truth["tutors"][0])
    assert sum(one["decline_date"] is not None for one in truth["tutors"]) >= 5
    assert len(truth["customers"]) == 2_400
    assert len(truth["churn"]["coefficients"]) == 5
    assert [one["code"] for one in truth["interventions"]] == list("ABCDE")
    effects = {one["code"]: one["true_effect_on_60_day_churn"] for one in truth["interventions"]}
    assert effects["A"] == -0.04
    assert effects["B"] == effects["E"] == 0
    assert effects["C"] < 0 < effects["D"]
    kinds = sorted(one["kind"] for one in truth["experiments"])
    assert kinds == ["a_a", "a_a", "real", "real", "srm", "underpowered"]
    assert {name: len(found) for name, found in truth["anomalies"].items()} == {
        "counts": 5,
        "rates": 5,
        "low_counts": 5,
    }
    assert len(truth["patterns"]["planted"]) == 5
    assert len(truth["patterns"]["decoys"]) == 20


def test_two_hundred_dialogues_and_twenty_injections_are_labelled(demo_folder: Path) -> None:
    lines = [json.loads(line) for line in (demo_folder / "dialogues.jsonl").read_text().splitlines()]
    labelled = {one["dialogue_id"]: one for one in lines if one["kind"] == "labelled"}
    injected = [one for one in lines if one["kind"] == "injection"]
    assert (len(labelled), len(injected)) == (200, 20)
    for one in lines:
        for flag in one["labels"]["red_flags"]:
            assert one["turns"][flag["turn"]]["text"] == flag["quote"]
    for one in injected:
        assert one["labels"] == labelled[one["base_dialogue_id"]]["labels"]
    assert {one["labels"]["empathy"] for one in labelled.values()} == {1, 2, 3, 4, 5}


def test_only_tests_and_benches_read_the_truth() -> None:
    name = "truth" + ".json"
    writer = ROOT / "app" / "mock_rails" / "world"
    for room in ("app", "assets", "data", "models_ml", "notifications", "orchestration", "dbt_project"):
        for path in (ROOT / room).rglob("*.[psy]*"):
            is_state = any(part.startswith("state") for part in path.relative_to(ROOT).parts[1:-1])
            if path.suffix in {".py", ".sql", ".yml"} and not is_state and path.parent != writer:
                assert name not in path.read_text(), path


def test_the_mock_imports_nobody_of_ours() -> None:
    for path in (ROOT / "app" / "mock_rails").rglob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith(("from ", "import ")):
                module = line.split()[1]
                assert module.split(".")[0] not in {
                    "data",
                    "assets",
                    "models_ml",
                    "notifications",
                    "orchestration",
                }
                assert not module.startswith("app.") or module.startswith("app.mock_rails"), path


def test_planted_patterns_are_in_the_data(demo: World, demo_sessions: pl.DataFrame) -> None:
    channel = demo.frames["customers"].select("customer_id", "acquisition_channel")
    sessions = demo_sessions.join(channel, left_on="student_id", right_on="customer_id")
    social = pl.col("acquisition_channel") == "paid_social"
    cancelled = pl.col("status") == "cancelled"
    assert rate(sessions.filter(social), cancelled) == pytest.approx(
        2.5 * rate(sessions.filter(~social), cancelled), rel=0.15
    )
    finished = sessions.filter(FINISHED & pl.col("late_minutes").is_not_null())
    weekend = finished.filter(pl.col("weekday") >= 5)
    late = pl.col("late_minutes") > 5
    morning = rate(weekend.filter(pl.col("hour") < 12), late)
    assert morning == pytest.approx(2.2 * rate(weekend.filter(pl.col("hour") >= 12), late), rel=0.15)
    rated = finished.filter(pl.col("student_feedback_rating").is_not_null())

    def mean(condition: pl.Expr) -> float:
        return float(rated.filter(condition)["student_feedback_rating"].to_numpy().mean())

    assert mean(pl.col("hour") >= 20) < mean(pl.col("hour") < 20) - 0.4
    first, chemistry = pl.col("is_first_session"), pl.col("subject") == "chemistry"
    assert mean(first & chemistry) < mean(first & ~chemistry) - 0.5


def test_planted_anomalies_are_in_the_data(
    demo: World, demo_sessions: pl.DataFrame, demo_truth: dict[str, Any]
) -> None:
    planted = demo_truth["anomalies"]
    joined = demo_sessions.filter(FINISHED & pl.col("late_minutes").is_not_null())
    bad_days = joined.filter(pl.col("day").cast(pl.String).is_in([one["date"] for one in planted["rates"]]))
    assert rate(bad_days, pl.col("late_minutes") > 5) > 1.7 * rate(joined, pl.col("late_minutes") > 5)
    calls = lived(demo, "inbound_calls").with_columns(
        day=pl.col("call_date").dt.convert_time_zone(demo.card["time_zone"]).dt.date().cast(pl.String)
    )
    for one in planted["low_counts"]:
        same = calls.filter((pl.col("day") == one["date"]) & (pl.col("reason_code") == one["reason_code"]))
        assert same.height >= one["extra"]
    days = {one["date"]: one for one in demo_truth["days"]}
    names = [one["subject_id"] for one in demo_truth["subjects"]]
    for one in planted["counts"]:
        found = demo_sessions.filter(
            (pl.col("day").cast(pl.String) == one["date"]) & (pl.col("subject") == one["subject_id"])
        ).height
        at = names.index(one["subject_id"])
        day = days[one["date"]]
        expected = demo_truth["subjects"][at]["week_rate"][date.fromisoformat(one["date"]).weekday()]
        true_rate = sum(expected) * day["level"][at] * day["platform_shock"] * day["subject_shock"][at]
        assert abs(found - true_rate) < 4.5 * true_rate**0.5


def test_true_rates_explain_the_counts(demo_sessions: pl.DataFrame, demo_truth: dict[str, Any]) -> None:
    rates = np.array([one["week_rate"] for one in demo_truth["subjects"]]).sum(axis=2)
    counted = dict(demo_sessions.group_by("day").len().iter_rows())
    errors = []
    for one in demo_truth["days"][:400]:
        day = date.fromisoformat(one["date"])
        level = np.array(one["level"]) * np.array(one["subject_shock"]) * one["platform_shock"]
        expected = float(rates[:, day.weekday()] @ level)
        if one["date"] != demo_truth["outage"]["date"]:
            errors.append((counted[day] - expected) / expected**0.5)
    assert abs(np.mean(errors)) < 0.2
    assert 0.85 < np.std(errors) < 1.15


def test_real_experiments_move_their_metric_and_the_broken_split_is_broken(
    demo_folder: Path, demo_sessions: pl.DataFrame, demo_truth: dict[str, Any]
) -> None:
    exposures = pl.read_parquet(demo_folder / "experiment_exposures.parquet")
    windows = {one["key"]: one for one in demo_truth["experiments"]}

    def by_variation(key: str, metric: pl.Expr) -> tuple[float, float]:
        exposed = exposures.filter(pl.col("experiment_key") == key)
        seen = demo_sessions.filter(FINISHED & ~pl.col("no_show")).join(
            exposed, left_on="student_id", right_on="unit_id"
        )
        seen = seen.filter(
            (pl.col("session_start_time") > pl.col("exposed_at"))
            & (pl.col("day") <= date.fromisoformat(windows[key]["ends_on"]))
        )
        arms = [seen.filter(pl.col("variation") == variation) for variation in (0, 1)]
        return rate(arms[0], metric), rate(arms[1], metric)

    before, after = by_variation("punctuality_nudge", pl.col("late_minutes") > 5)
    assert after == pytest.approx(0.6 * before, rel=0.15)
    before, after = by_variation("welcome_call", pl.col("student_booked_followup"))
    assert 1.4 < (after / (1 - after)) / (before / (1 - before)) < 2.2
    shares = dict(exposures.group_by("experiment_key").agg(pl.col("variation").mean()).iter_rows())
    assert shares["srm_new_checkout"] > 0.56
    assert abs(shares["aa_dashboard_banner"] - 0.5) < 0.05


def test_a_bad_first_session_makes_customers_leave(
    demo_truth: dict[str, Any], demo_sessions: pl.DataFrame
) -> None:
    gone = pl.DataFrame(
        [
            {"student_id": one["customer_id"], "churned_on": one["churned_on"]}
            for one in demo_truth["customers"]
        ],
        schema={"student_id": pl.String, "churned_on": pl.String},
    )
    first = (
        demo_sessions.filter(FINISHED)
        .sort("session_start_time")
        .group_by("student_id", maintain_order=True)
        .first()
    )
    first = first.filter(pl.col("day") < date(2026, 8, 1)).join(gone, on="student_id")
    left = (pl.col("churned_on").str.to_date() - pl.col("day")).dt.total_days() <= 60
    rated = first.filter(pl.col("student_feedback_rating").is_not_null())
    bad = rate(rated.filter(pl.col("student_feedback_rating") <= 2), left.fill_null(False))
    good = rate(rated.filter(pl.col("student_feedback_rating") >= 4), left.fill_null(False))
    assert bad > 1.8 * good


def test_declining_tutors_lose_most_of_their_sessions(
    demo_truth: dict[str, Any], demo_sessions: pl.DataFrame
) -> None:
    ratios = []
    for one in demo_truth["tutors"]:
        if one["decline_date"] is None:
            continue
        turn = date.fromisoformat(one["decline_date"])
        own = demo_sessions.filter(pl.col("tutor_id") == one["tutor_id"])
        days = own["day"].cast(pl.Int32).to_numpy() - (turn - date(1970, 1, 1)).days
        before, after = int(((days >= -28) & (days < 0)).sum()), int(((days >= 0) & (days < 28)).sum())
        if before and turn < date(2026, 10, 20):
            ratios.append(after / before)
    assert np.median(ratios) < 0.65


def test_the_null_twin_has_no_effect_anywhere(twin_folder: Path) -> None:
    truth = json.loads((twin_folder / "truth.json").read_text())
    assert truth["null_twin"] is True
    assert set(truth) == CONTRACT
    assert truth["outage"] is None
    assert all(one["level_shift"] is None and one["shortage"] is None for one in truth["subjects"])
    assert set(truth["churn"]["coefficients"].values()) == {0.0}
    assert {one["true_effect_on_60_day_churn"] for one in truth["interventions"]} == {0.0}
    assert {one["hazard_multiplier"] for one in truth["interventions"]} == {1.0}
    assert {one["true_effect"] for one in truth["experiments"] if one["effect_kind"] != "shift_sd"} == {1.0}
    assert {one["true_effect"] for one in truth["experiments"] if one["effect_kind"] == "shift_sd"} == {0.0}
    assert not any(truth["anomalies"].values())
    assert {one["true_effect"] for one in truth["patterns"]["planted"]} <= {0.0, 1.0}
    assert {one["true_quality"] for one in truth["tutors"]} == {0.0}
    assert len({one["true_no_show_rate"] for one in truth["tutors"]}) == 1
    assert all(one["decline_date"] is None for one in truth["tutors"])


def test_in_the_null_twin_late_evenings_and_struggling_tutors_do_not_differ(twin_folder: Path) -> None:
    sessions = lived(load_world(twin_folder)).filter(
        FINISHED & pl.col("student_feedback_rating").is_not_null()
    )
    truth = json.loads((twin_folder / "truth.json").read_text())
    struggling = [one["tutor_id"] for one in truth["tutors"] if one["kind"] == "struggling"]

    def gap(condition: pl.Expr) -> float:
        ratings = [
            sessions.filter(c)["student_feedback_rating"].to_numpy().mean() for c in (condition, ~condition)
        ]
        return float(abs(ratings[0] - ratings[1]))

    assert gap(pl.col("hour") >= 20) < 0.05
    assert gap(pl.col("tutor_id").is_in(struggling)) < 0.05
