"""Pages where there is little or nothing: no publication, no rows, one row, only nulls, hostile names, old data."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dashboard_marketplace as marketplaces
import dashboard_tables
import pyarrow as pa
import pytest
from conftest import PAGES, House, View, boards, words
from dashboard_publishing import add_account, publish_marketplace

from app.dashboard import stores
from data.lake.writer import open_writer
from data.operations import publications
from data.operations.store import Operations, open_operations
from data.postgres import open_postgres
from data.settings import Settings

pytestmark = pytest.mark.slow

KEEP = ("as_of_date", "tutor_id", "customer_id", "session_id", "subject_id", "score_code", "formula_version")
"""Keys stay in a row whose every other value is unknown."""
KEEP_TOO = (
    "hour_start_at",
    "forecast_origin_date",
    "date",
    "session_date",
    "source",
    "kind",
    "book",
    "entry",
)


@pytest.fixture(scope="module")
def bare(make_state: Callable[[], Path]) -> House:
    settings = Settings(state=make_state())
    operations = open_operations(open_postgres(settings))
    now = datetime.now(UTC)
    return House(settings, operations, now, {"admin": add_account(operations, "admin", now=now)})


def publish_rows(
    house: House, frames: dict[str, list[dict[str, Any]]], checks: dict[str, Any] | None = None
) -> None:
    with open_writer(house.settings) as writer:
        snapshot = dashboard_tables.build(writer, house.settings, frames)
    with house.operations.session() as session:
        today = marketplaces.Marketplace(house.now, tutors=4, customers=4).today
        publications.publish(
            session, snapshot_id=snapshot, lane="fast", as_of_date=today, checks=checks or {}, now=house.now
        )


def test_before_the_first_publication_every_page_says_so(
    bare: House, move_in: Callable[[Settings], None], view: View
) -> None:
    move_in(bare.settings)
    for name in PAGES:
        app = view(name, bare.cookie_of(bare.people["admin"]))
        assert not app.exception
        assert "Nothing is published yet" in words(app)


def test_an_empty_marketplace_has_words_instead_of_charts(
    bare: House, move_in: Callable[[Settings], None], view: View
) -> None:
    move_in(bare.settings)
    publish_rows(bare, {})
    for name in PAGES:
        app = view(name, bare.cookie_of(bare.people["admin"]))
        assert not app.exception, (name, app.exception)
        assert len(words(app)) > 100
        assert not app.get("vega_lite_chart")


def test_a_check_that_a_version_did_not_pass_is_named(
    bare: House, move_in: Callable[[Settings], None], view: View
) -> None:
    move_in(bare.settings)
    publish_rows(
        bare, {}, {"run_id": "r-1", "run_count": 54, "failed": ["marts/rpt_source_freshness: is_fresh"]}
    )
    said = words(view("data_health", bare.cookie_of(bare.people["admin"])))
    assert "marts/rpt_source_freshness: is_fresh" in said
    assert "1 not passed" in said


def test_one_row_of_everything_is_enough_for_every_page(
    bare: House, move_in: Callable[[Settings], None], view: View
) -> None:
    move_in(bare.settings)
    everything = marketplaces.Marketplace(bare.now).frames(bare.settings)
    one = {name: rows if name == "marts.rpt_rulebook" else rows[:1] for name, rows in everything.items()}
    publish_rows(bare, one)
    every_view_is_calm(bare, view)


def test_rows_of_nulls_break_no_page(bare: House, move_in: Callable[[Settings], None], view: View) -> None:
    move_in(bare.settings)
    everything = marketplaces.Marketplace(bare.now).frames(bare.settings)
    nulls = {
        name: [
            {key: value if key in KEEP + KEEP_TOO else None for key, value in row.items()} for row in rows[:5]
        ]
        for name, rows in everything.items()
        if name != "marts.rpt_rulebook"
    }
    publish_rows(bare, nulls)
    every_view_is_calm(bare, view)


def every_view_is_calm(house: House, view: View) -> None:
    cookie = house.cookie_of(house.people["admin"])
    for name in PAGES:
        app = view(name, cookie)
        assert not app.exception, (name, app.exception)
        assert words(app)
    for name, parameters in (("tutors", {"tutor": "t-001"}), ("customers", {"customer": "c-001"})):
        app = view(name, cookie, **parameters)
        assert not app.exception, (name, app.exception)
    for span in ("7", "30", "nonsense"):
        assert not view("overview", cookie, range=span).exception


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("tutors", {"tutor": "'; drop table x; --"}),
        ("customers", {"customer": "<script>alert(1)</script>"}),
        ("alerts", {"alert": "not-a-uuid"}),
        ("tutors", {"page": "-3", "sort": "health;drop", "tier": "no such tier"}),
        ("customers", {"page": "99999", "tiers": "a,b,c"}),
        ("supply", {"subject": "no such subject"}),
        ("overview", {"range": "8"}),
    ],
)
def test_nonsense_in_the_address_is_no_error(
    at_home: House, view: View, name: str, parameters: dict[str, str]
) -> None:
    app = view(name, at_home.cookie_of(at_home.people["admin"]), **parameters)
    assert not app.exception


def test_what_no_source_reports_is_said_in_place(
    bare: House, move_in: Callable[[Settings], None], view: View
) -> None:
    move_in(bare.settings)
    frames = marketplaces.Marketplace(bare.now).frames(bare.settings)
    for row in frames["core.dim_sources"]:
        row.update({name: False for name in row if name.startswith("reports_")})
    for relation in ("marts.fct_supply_demand", "marts.fct_demand_forecasts", "core.fct_inbound_calls"):
        frames[relation] = []
    publish_rows(bare, frames)
    cookie = bare.cookie_of(bare.people["admin"])
    assert "No source reports ratings" in words(view("tutors", cookie))
    assert "No source reports availability of tutors" in words(view("supply", cookie))
    assert "No source reports support calls" in words(view("customers", cookie, customer="c-001"))


def test_demand_is_drawn_where_nobody_knows_the_supply(
    bare: House, move_in: Callable[[Settings], None], view: View
) -> None:
    move_in(bare.settings)
    frames = marketplaces.Marketplace(bare.now).frames(bare.settings)
    for row in frames["core.dim_sources"]:
        row["reports_availability"] = False
    frames["marts.fct_supply_demand"] = []
    publish_rows(bare, frames)
    app = view("supply", bare.cookie_of(bare.people["admin"]), subject="physics")
    assert "Supply cannot be counted" in words(app)
    (chart,) = drawn(app)
    champion = [
        row["expected_sessions"]
        for row in frames["marts.fct_demand_forecasts"]
        if row["subject_id"] == "physics" and row["is_champion"]
    ]
    # Each hour once: what other engines expect is not added to it.
    assert max(row["demand"] for row in chart) == pytest.approx(max(champion))


def drawn(app: Any) -> list[list[dict[str, Any]]]:
    """Return the rows of every chart on a page."""
    found = []
    for chart in app.get("vega_lite_chart"):
        spec = json.loads(chart.proto.spec)
        found += list(spec.get("datasets", {}).values()) or [
            pa.ipc.open_stream(data.data.data).read_all().to_pylist() for data in chart.proto.datasets
        ]
    return found


def test_hostile_names_are_text_in_markdown_and_in_tables(at_home: House, view: View) -> None:
    app = view("tutors", at_home.cookie_of(at_home.people["admin"]), tutor="t-002")
    assert "\\<img src=x" in words(app)
    assert not [one for one in app.markdown if "<img" in one.value.replace("\\<img", "")]
    assert not any(one.allow_html for one in app.markdown)


def test_every_page_says_version_day_and_age(at_home: House, view: View) -> None:
    for name in PAGES:
        said = words(view(name, at_home.cookie_of(at_home.people["admin"])))
        assert "Version 1 · data of" in said
        assert "min ago" in said or "just now" in said


def test_a_rollback_is_shown_as_held_until_it_is_released(
    make_state: Callable[[], Path], move_in: Callable[[Settings], None], view: View
) -> None:
    settings = Settings(state=make_state())
    now = datetime.now(UTC) - timedelta(days=30)
    operations: Operations = publish_marketplace(settings, now, {}, names=False)
    house = House(settings, operations, now, {"admin": add_account(operations, "admin", now=now)})
    move_in(settings)
    publish_rows(house, {})
    cookie = house.cookie_of(house.people["admin"])
    assert "older than usual" in words(view("overview", cookie))
    app = view("data_health", cookie)
    fields = {one.label: one for one in app.text_input}
    fields["Why"].input("the nightly run read half a file")
    fields["Type the version number to confirm"].input("1")
    next(button for button in app.button if button.label == "Go back").click().run()
    assert not app.exception
    assert "Readers see version 1 again" in words(app)
    published = stores.published()
    assert published is not None
    assert published.rolled_back_to == 1
    assert "held since" in words(view("overview", cookie))
    app = view("data_health", cookie)
    next(button for button in app.button if button.label == "Release the hold").click().run()
    assert "The lanes publish again" in words(app)
    assert boards(app)
