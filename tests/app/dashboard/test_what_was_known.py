"""A session opens what was known of it when: its first version is still there when feedback came late."""

from __future__ import annotations

import pytest
from conftest import House, View, boards, words
from dashboard_marketplace import COACHED

from app.dashboard import queries, stores
from app.dashboard.components.page import Lens


def lens_of(house: House) -> Lens:
    published = stores.published()
    assert published is not None
    return Lens(house.person("coach"), published)


def a_rated_session(house: House, tutor_id: str) -> dict[str, object]:
    sessions = queries.tutor_sessions(lens_of(house), tutor_id, days=14)
    rated = sessions.head(25).drop_nulls("student_rating")
    return dict(rated.row(0, named=True))


def test_a_session_opens_its_versions_and_says_how_late_the_feedback_was(at_home: House, view: View) -> None:
    session = a_rated_session(at_home, COACHED[0])
    cookie = at_home.cookie_of(at_home.people["coach"])
    app = view("tutors", cookie, tutor=COACHED[0], session=session["session_id"])
    assert not app.exception
    assert "What was known when" in words(app)
    (versions,) = [board for board in boards(app) if '"What was known when"' in board]
    for said in (
        "First version",
        "Planned",
        "Held",
        "came 3 h after the session",
        "Marketplace, webhook",
    ):
        assert said in versions, said


def test_a_page_without_an_open_session_asks_for_no_version(
    at_home: House, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(queries, "session_versions", lambda _, session_id: asked.append(session_id))
    app = view(
        "tutors", at_home.cookie_of(at_home.people["coach"]), tutor=COACHED[0], session="no-such-session"
    )
    assert not app.exception
    assert "What was known when" not in words(app)
    assert asked == []


def test_a_coach_sees_no_version_of_a_strangers_session(at_home: House) -> None:
    published = stores.published()
    assert published is not None
    everybody = Lens(at_home.person("analyst"), published)
    strangers = queries.tutor_sessions(everybody, "t-009", days=14)
    session_id = strangers["session_id"][0]
    assert queries.session_versions(everybody, session_id).height > 0
    assert queries.session_versions(lens_of(at_home), session_id).height == 0
