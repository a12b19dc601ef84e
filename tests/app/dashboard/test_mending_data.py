"""Mending data on the Data health page: who may, what is shown, the rehearsal, and what is asked of the lanes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dashboard_publishing as publishing
import pytest
import sqlalchemy as sa
from conftest import House, View, boards, words
from dashboard_days import REFUSED
from streamlit.testing.v1 import AppTest

from app.dashboard import access, actions, health, stores
from app.dashboard.components import quality
from app.dashboard.components.page import Lens
from app.dashboard.components.quarantine import outcome_of, said_of_correction
from app.dashboard.quarantine import Cause, records_of
from app.dashboard.rulebook import Rulebook
from data.contracts import Correction
from data.lake.waiting import Scope
from data.operations import corrections as decisions
from data.operations.tables import ROLES, AuditEntry, CorrectionRow, ReplayRequest, Role
from data.settings import Settings

MAY_MEND: set[Role] = {"admin", "engineer"}
REASONS = {field: reason for field, reason, _ in REFUSED}
PERSONAL = "said Ada Archer"


@pytest.fixture
def own_house(make_state: Callable[[], Path], move_in: Callable[[Settings], None]) -> House:
    """A house of its own, for what is decided in it."""
    settings = Settings(state=make_state())
    now = datetime.now(UTC)
    operations = publishing.publish_marketplace(settings, now)
    people = {role: publishing.add_account(operations, role, now=now) for role in ("admin", "engineer")}
    move_in(settings)
    return House(settings, operations, now, people)  # type: ignore[arg-type]


def cause_of(field: str) -> Cause:
    return Cause("rails.pull", "sessions", field, REASONS[field])


def opened(house: House, view: View, field: str, role: Role = "engineer") -> AppTest:
    app = view("data_health", house.cookie_of(house.people[role]), cause=cause_of(field).key)
    assert not app.exception
    return app


def lens_of(house: House, role: Role) -> Lens:
    published = stores.published()
    assert published is not None
    return Lens(house.person(role), published)


def labelled(elements: Any, label: str) -> Any:
    return next(one for one in elements if one.label == label)


def press(app: AppTest, label: str) -> None:
    labelled(app.button, label).click().run()
    assert not app.exception


def rehearsed(app: AppTest) -> tuple[str, str, str]:
    """Return figure, unit and note of the rehearsal's tile."""
    board = next(one for one in map(json.loads, boards(app)) if "Rehearsal" in str(one))
    (tile,) = board["tiles"]
    return tile["value"], tile["unit"], tile["note"]


@pytest.mark.parametrize("role", ROLES)
def test_only_who_may_mend_opens_a_cause(at_home: House, view: View, role: Role) -> None:
    app = view("data_health", at_home.cookie_of(at_home.people[role]), cause=cause_of("student_rating").key)
    assert not app.exception
    assert ("Mend it" in words(app)) == (role in MAY_MEND)
    assert any(PERSONAL in code.value for code in app.code) == (role in MAY_MEND)


@pytest.mark.parametrize("role", [*ROLES, None])
def test_a_role_is_asked_at_every_decision(at_home: House, role: Role | None) -> None:
    person = at_home.person(role) if role is not None else None
    scope = Scope("rails.pull", "sessions", "nothing", "of this kind")
    asked: list[Callable[[], object]] = [
        lambda: actions.correct(
            person, sources=[], kind="sessions", correction=Correction("clear", "x"), note="why"
        ),
        lambda: actions.retire_correction(person, 10**6),
        lambda: actions.give_up(person, scope, note=""),
        lambda: actions.record_reading(person, scope, records=0, version=1),
    ]
    for ask in asked:
        if role in MAY_MEND:
            assert not isinstance(ask(), actions.Done)
        else:
            with pytest.raises(access.AccessDenied):
                ask()
    if role not in MAY_MEND:
        with pytest.raises(access.AccessDenied):
            actions.ask_replay(person, scope)
    if role is not None and role not in MAY_MEND:
        with pytest.raises(access.AccessDenied):
            records_of(lens_of(at_home, role), cause_of("status"))


def test_the_page_tells_quality_changes_volume_and_what_to_do(at_home: House, view: View) -> None:
    said = words(view("data_health", at_home.cookie_of(at_home.people["analyst"])))
    for told in (
        "stars is new, and no contract knows it",
        "student_rating is no longer filled",
        "reschedule_count is text now; it was a number",
        "Less",
        "Too new to tell",
        "Held",
        "answered 403",
        "Quieter than usual",
        "The number cannot be: ask the source what it means",
        "for 3 causes, most for student_rating",
        "were refused earlier and are settled",
    ):
        assert told in said, told
    assert PERSONAL not in said


def test_a_feed_is_chosen_for_its_trend_and_nonsense_chooses_the_lowest(at_home: House, view: View) -> None:
    cookie = at_home.cookie_of(at_home.people["analyst"])
    for feed in ("rails.pull:customers", "'; drop table x"):
        app = view("data_health", cookie, feed=feed)
        assert not app.exception
        expected = "Customers" if feed.endswith("customers") else "Sessions"
        assert f"{expected}, Marketplace, pulled: the last four weeks" in words(app)


def test_a_score_has_the_tone_of_the_rulebook(at_home: House) -> None:
    from app.dashboard import queries

    rulebook = Rulebook(queries.rulebook(lens_of(at_home, "analyst")))
    tones = [quality.tone_of_score(score, rulebook) for score in (95.0, 94.99, 80.0, 79.99, None)]
    assert tones == ["green", "amber", "amber", "red", ""]


def test_looking_at_records_is_written_down_once(own_house: House, view: View) -> None:
    app = opened(own_house, view, "student_rating")
    app.run()
    with own_house.operations.session() as session:
        entries = list(session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "quarantine.read")))
    assert [(entry.details["field"], entry.details["records"]) for entry in entries] == [
        ("student_rating", 21)
    ]


def test_a_correction_is_rehearsed_put_in_force_for_two_feeds_and_a_replay_asked_for(
    own_house: House, view: View
) -> None:
    app = opened(own_house, view, "status")
    assert rehearsed(app) == ("0", "of 2", "would load as things stand")
    labelled(app.text_input, "It becomes").input("finished").run()
    assert rehearsed(app) == ("2", "of 2", "would load")
    labelled(app.multiselect, "For these feeds").set_value(["rails.pull", "rails.webhook"]).run()
    press(app, "Put it in force")
    assert "Say why, in a line" in words(app)
    labelled(app.text_input, "It becomes").input("finished").run()
    labelled(app.multiselect, "For these feeds").set_value(["rails.pull", "rails.webhook"]).run()
    labelled(app.text_input, "Why").input("the new app says done").run()
    press(app, "Put it in force")
    assert "The correction is in force" in words(app)
    with own_house.operations.session() as session:
        rows = decisions.corrections_in_force(session)
        wishes = decisions.waiting_replays(session)
    assert [(row.source, row.action, row.old_value, row.new_value) for row in rows] == [
        (source, "replace", '"done"', "finished") for source in ("rails.pull", "rails.webhook")
    ]
    assert [(wish.action, wish.source, wish.kind) for wish in wishes] == [
        ("replay", source, "sessions") for source in ("rails.pull", "rails.webhook")
    ]
    assert "waits for its turn" in words(app)
    press(app, "End it")
    assert "no longer applied" in words(app)


def test_a_correction_that_says_too_little_cannot_be_put_in_force(own_house: House, view: View) -> None:
    app = opened(own_house, view, "updated_at")
    assert "needs the value or pattern that it mends" in words(app)
    assert labelled(app.button, "Put it in force").disabled
    labelled(app.text_input, "Written as").input("%Y-%m-%dT%H:%M:%S").run()
    labelled(app.text_input, "By a clock in").input("UTC").run()
    assert rehearsed(app) == ("9", "of 9", "would load")
    assert not labelled(app.button, "Put it in force").disabled


def test_a_nested_field_of_the_source_is_suggested(own_house: House, view: View) -> None:
    app = opened(own_house, view, "student_rating")
    assert labelled(app.selectbox, "Field, as the source calls it").value == "student_feedback.rating"
    assert rehearsed(app) == ("21", "of 21", "would load")


def test_records_are_given_up_with_a_reason_only(own_house: House, view: View) -> None:
    app = opened(own_house, view, "status")
    press(app, "Give up")
    assert "Say why these records are given up" in words(app)
    labelled(app.text_input, "Why are they not worth having").input("test data of the agency")
    press(app, "Give up")
    assert "their text is kept" in words(app)
    with own_house.operations.session() as session:
        (wish,) = decisions.waiting_replays(session)
    assert (wish.action, wish.field, wish.note) == ("discard", "status", "test data of the agency")


def test_a_cause_that_is_gone_says_so(own_house: House, view: View) -> None:
    app = view("data_health", own_house.cookie_of(own_house.people["admin"]), cause="no such cause")
    assert not app.exception
    assert "No such cause" in words(app)


def test_causes_are_told_apart_by_all_their_parts(at_home: House) -> None:
    rows = health.quarantine(lens_of(at_home, "admin")).to_dicts()
    assert len({Cause.of(row).key for row in rows}) == len(rows) == len(REFUSED)


@pytest.mark.parametrize(
    ("action", "outcome", "told"),
    [
        ("replay", None, "waits for its turn"),
        ("discard", {"discarded": 1}, "1 record given up"),
        (
            "replay",
            {
                "tried": 437,
                "loaded": 412,
                "duplicate": 5,
                "not_whole": 1,
                "still_refused": [{"field": "status", "reason": "odd", "count": 19}],
            },
            "412 of 437 loaded, 5 known already, 19 still refused, most for status, 1 too long to be judged again",
        ),
    ],
)
def test_what_came_of_a_decision_is_told_in_words(
    action: Any, outcome: dict[str, Any] | None, told: str
) -> None:
    assert outcome_of(ReplayRequest(action=action, outcome=outcome)) == told


@pytest.mark.parametrize(
    ("action", "old", "new", "told"),
    [
        ("rename", None, "rating", "stars is rating"),
        ("replace", "6", "5", "stars: 6 becomes 5"),
        ("clear", None, None, "stars is cleared"),
        ("clear", "6", None, "stars is cleared where it is 6"),
        ("fill", None, "1", "stars becomes 1 where it is empty"),
        ("parse_time", "%Y", "UTC", "stars is a time like %Y in UTC"),
    ],
)
def test_a_correction_is_told_in_words(action: Any, old: str | None, new: str | None, told: str) -> None:
    assert (
        said_of_correction(CorrectionRow(action=action, field="stars", old_value=old, new_value=new)) == told
    )
