"""Who may see and do what: every role on every page and for every action, also nobody and somebody disabled."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from conftest import PAGES, House, View, boards, words
from dashboard_marketplace import COACHED
from dashboard_publishing import open_one

from app.dashboard import access, actions, health, inbox, queries, stores
from app.dashboard.components.page import Lens
from app.dashboard.names import names
from data.operations import episodes, users
from data.operations.tables import ROLES, Role

MAY_SEE: dict[str, set[Role]] = {
    "overview": {"admin", "engineer", "analyst", "coach", "viewer"},
    "alerts": {"admin", "engineer", "analyst", "coach", "viewer"},
    "tutors": {"admin", "engineer", "analyst", "coach", "viewer"},
    "customers": {"admin", "engineer", "analyst", "coach", "viewer"},
    "supply": {"admin", "engineer", "analyst", "viewer"},
    "data_health": {"admin", "engineer", "analyst"},
}
STAFF: set[Role] = {"admin", "engineer", "analyst", "coach"}


def lens_of(house: House, role: Role) -> Lens:
    published = stores.published()
    assert published is not None
    return Lens(house.person(role), published)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_for_the_roles_that_include_it_and_for_no_other(
    at_home: House, view: View, name: str, role: Role
) -> None:
    app = view(name, at_home.cookie_of(at_home.people[role]))
    assert not app.exception
    assert bool(boards(app)) == (role in MAY_SEE[name])
    assert ("does not include this page" in words(app)) == (role not in MAY_SEE[name])


@pytest.mark.parametrize("name", [*PAGES, "account"])
def test_nobody_sees_nothing(at_home: House, view: View, name: str) -> None:
    app = view(name, None)
    assert not app.exception
    assert "session has ended" in words(app)
    assert not boards(app)


@pytest.mark.parametrize("name", [*PAGES, "account"])
def test_somebody_disabled_sees_nothing_from_the_next_rerun_on(at_home: House, view: View, name: str) -> None:
    with at_home.operations.session() as session:
        user, _ = users.create_user(
            session,
            email=f"gone-{name}@example.org",
            name="Gone",
            role="admin",
            actor="test",
            now=at_home.now,
        )
        user_id = user.user_id
    cookie = at_home.cookie_of(type(at_home.people["admin"])(user_id, "gone", "admin"))
    app = view(name, cookie)
    assert "session has ended" not in words(app)
    with at_home.operations.session() as session:
        users.set_active(session, user_id, is_active=False, actor="test", now=datetime.now(UTC))
    app.run()
    assert "session has ended" in words(app)
    assert not boards(app)


def test_names_are_shown_to_staff_and_never_to_a_viewer(at_home: House, view: View) -> None:
    for role in ROLES:
        said = words(view("tutors", at_home.cookie_of(at_home.people[role])))
        assert ("Ada Archer" in said) == (role in STAFF)
        assert "Old Name" not in said
    lens = lens_of(at_home, "viewer")
    assert names(lens).tutor("t-001") == "t-001"


def test_a_coach_gets_the_roster_and_nothing_beside_it(at_home: House) -> None:
    lens = lens_of(at_home, "coach")
    assert set(queries.tutors(lens)["tutor_id"]) == set(COACHED)
    assert {alert.tutor_id for alert in inbox.alerts(lens.person)} <= set(COACHED)
    assert queries.tutor_scores(lens, "t-020", days=30).is_empty()
    assert queries.tutor_sessions(lens, "t-020", days=30).is_empty()
    own = queries.customers_in_scope(lens)
    assert own
    assert set(queries.customers(lens)["customer_id"]) <= own
    assert set(queries.customer_sessions(lens, sorted(own)[0], limit=50)["tutor_id"]) <= set(COACHED)


def test_a_coach_cannot_open_a_stranger_by_address(at_home: House, view: View) -> None:
    cookie = at_home.cookie_of(at_home.people["coach"])
    assert "No such tutor" in words(view("tutors", cookie, tutor="t-020"))
    lens = lens_of(at_home, "coach")
    everybody = set(queries.customers(lens_of(at_home, "admin"))["customer_id"])
    strangers = everybody - (queries.customers_in_scope(lens) or frozenset())
    for stranger in sorted(strangers)[:1]:
        assert "No such customer" in words(view("customers", cookie, customer=stranger))
        with pytest.raises(access.AccessDenied):
            queries.customer_scores(lens, stranger, days=30)
    foreign = next(a for a in inbox.alerts(at_home.person("admin")) if a.tutor_id not in COACHED)
    assert "No such alert" in words(view("alerts", cookie, alert=str(foreign.episode_id)))


def test_a_role_is_asked_at_every_question(at_home: House) -> None:
    with pytest.raises(access.AccessDenied):
        health.source_freshness(lens_of(at_home, "viewer"))
    with pytest.raises(access.AccessDenied):
        queries.supply_demand(lens_of(at_home, "coach"))


def act_of(at_home: House, role: Role | None, act: str) -> bool:
    """Try one action on a fresh alert of a coached tutor; return whether it was recorded."""
    person = at_home.person(role) if role else None
    alert = an_alert(at_home)
    if act == "reopen":
        actions.resolve(
            at_home.person("admin"), alert, notes="x", was_right=None, version=version_of(at_home, alert)
        )
    version = version_of(at_home, alert)
    tries: dict[str, Callable[[], actions.Outcome]] = {
        "acknowledge": lambda: actions.move(person, alert, to="acknowledge", version=version),
        "start": lambda: actions.move(person, alert, to="start", version=version),
        "resolve": lambda: actions.resolve(person, alert, notes="done", was_right=True, version=version),
        "dismiss": lambda: actions.dismiss(person, alert, reason="noise", was_right=False, version=version),
        "reopen": lambda: actions.reopen(person, alert, reason="again", version=version),
        "assign": lambda: actions.assign_to_me(person, alert, version=version),
        "note": lambda: actions.add_note(person, alert, text="a note"),
    }
    try:
        return isinstance(tries[act](), actions.Done)
    except access.AccessDenied:
        return False


def an_alert(at_home: House) -> uuid.UUID:
    """Open a fresh alert about a coached tutor, as a webhook would, and return it."""
    session_id = f"s-{uuid.uuid4()}"
    return open_one(at_home.operations, session_id=session_id, tutor_id=COACHED[0], at=datetime.now(UTC))


def version_of(at_home: House, episode_id: uuid.UUID) -> int:
    with at_home.operations.session() as session:
        return episodes.episode_of(session, episode_id).version


@pytest.mark.parametrize("role", [*ROLES, None])
@pytest.mark.parametrize("act", ["acknowledge", "start", "resolve", "dismiss", "reopen", "assign", "note"])
def test_an_alert_is_changed_by_staff_and_by_no_other(at_home: House, act: str, role: Role | None) -> None:
    assert act_of(at_home, role, act) == (role in STAFF)


def test_a_coach_cannot_act_on_a_strangers_alert(at_home: House) -> None:
    foreign = next(
        a for a in inbox.alerts(at_home.person("admin")) if a.tutor_id not in COACHED and a.is_open
    )
    with pytest.raises(access.AccessDenied):
        actions.move(at_home.person("coach"), foreign.episode_id, to="start", version=foreign.version)


@pytest.mark.parametrize("role", [*ROLES, None])
def test_going_back_is_for_admins_and_engineers(at_home: House, role: Role | None) -> None:
    person = at_home.person(role) if role else None
    if role in ("admin", "engineer"):
        assert isinstance(actions.roll_back(person, 10_000, reason="because"), actions.NotDone)
        assert isinstance(actions.release_hold(person), actions.NotDone)
    else:
        with pytest.raises(access.AccessDenied):
            actions.roll_back(person, 1, reason="because")
        with pytest.raises(access.AccessDenied):
            actions.release_hold(person)


@pytest.mark.parametrize("role", ROLES)
def test_the_export_is_for_staff(at_home: House, view: View, role: Role) -> None:
    app = view("customers", at_home.cookie_of(at_home.people[role]))
    assert bool(app.get("download_button")) == (role in STAFF)
    if role not in STAFF:
        with pytest.raises(access.AccessDenied):
            actions.record_export(at_home.person(role), what="customers", rows=1, version=1)


def test_a_role_taken_away_stops_the_next_action(at_home: House) -> None:
    account = add_account_once(at_home)
    person = at_home.person("analyst")
    with at_home.operations.session() as session:
        users.change_role(session, account, role="viewer", actor="test", now=datetime.now(UTC))
    with at_home.operations.session() as session:
        changed = users.user_of(session, account)
        assert not access.may(
            type(person)(changed.user_id, changed.name, changed.email, changed.role), "act_on_alerts"
        )


def add_account_once(at_home: House) -> int:
    with at_home.operations.session() as session:
        user, _ = users.create_user(
            session, email="moving@example.org", name="M", role="analyst", actor="test", now=at_home.now
        )
        return user.user_id


def test_the_second_of_two_people_is_told_calmly_and_changes_nothing(at_home: House) -> None:
    alert_id = an_alert(at_home)
    seen = version_of(at_home, alert_id)
    first = actions.move(at_home.person("admin"), alert_id, to="start", version=seen)
    second = actions.dismiss(
        at_home.person("analyst"), alert_id, reason="noise", was_right=None, version=seen
    )
    assert isinstance(first, actions.Done)
    assert isinstance(second, actions.NotDone)
    assert "Somebody changed this alert" in second.text
    with at_home.operations.session() as session:
        assert episodes.episode_of(session, alert_id).status == "in_progress"


def test_closing_wants_words(at_home: House) -> None:
    alert_id = an_alert(at_home)
    version = version_of(at_home, alert_id)
    admin = at_home.person("admin")
    assert isinstance(
        actions.resolve(admin, alert_id, notes=" ", was_right=True, version=version), actions.NotDone
    )
    assert isinstance(
        actions.dismiss(admin, alert_id, reason="", was_right=True, version=version), actions.NotDone
    )
