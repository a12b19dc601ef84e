"""The sign-in pages over HTTP, the cookie, and the guard in front of everything else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dashboard_publishing import PASSWORD, add_account
from itsdangerous import URLSafeSerializer
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.dashboard import identity, login
from app.dashboard.server import SecurityHeaders, SignedInOnly, security_headers
from data.clock import FixedClock
from data.operations import users
from data.operations.store import Operations, open_operations
from data.operations.tables import Base
from data.postgres import open_postgres
from data.settings import Settings

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class Door:
    """The sign-in pages of one deployment, with a page behind them."""

    gate: login.Gate
    operations: Operations
    client: TestClient
    user_id: int

    def form(self, path: str = "/login") -> str:
        """Open a form and return its CSRF field."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.client.get(path).text)
        assert found is not None
        return found.group(1)

    def sign_in(self, password: str = PASSWORD, email: str = "admin@example.org", **more: str):  # type: ignore[no-untyped-def]
        """Fill in the form and send it."""
        data = {"csrf": self.form(), "email": email, "password": password, **more}
        return self.client.post("/login", data=data, follow_redirects=False)


@pytest.fixture(scope="module")
def opened(make_state: Callable[[], Path]) -> tuple[Settings, Operations]:
    settings = Settings(state=make_state())
    return settings, open_operations(open_postgres(settings))


@pytest.fixture
def door(opened: tuple[Settings, Operations]) -> Door:
    settings, operations = opened
    names = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with operations.engine.begin() as connection:
        connection.exec_driver_sql(f"truncate {names} restart identity cascade")
    account = add_account(operations, "admin", now=NOON)
    return door_at(settings, operations, NOON, account.user_id)


def door_at(settings: Settings, operations: Operations, now: datetime, user_id: int) -> Door:
    gate = login.Gate(settings=settings, operations=lambda: operations, clock=FixedClock(now))

    async def behind(request: Request) -> PlainTextResponse:
        return PlainTextResponse("the page")

    app = Starlette(
        routes=[*login.routes(gate), Route("/{rest:path}", behind)],
        middleware=[
            Middleware(SecurityHeaders, is_secure=gate.is_secure),
            Middleware(SignedInOnly, gate=gate),
        ],
    )
    client = TestClient(app, headers={"accept": "text/html"})
    return Door(gate, operations, client, user_id)


def test_the_right_password_leads_to_where_the_visitor_wanted_to_go(door: Door) -> None:
    asked = door.client.get("/tutors?tutor=t-1", follow_redirects=False)
    assert asked.status_code == 303
    assert asked.headers["location"] == "/login?next=%2Ftutors%3Ftutor%3Dt-1"
    answer = door.sign_in(next="/tutors?tutor=t-1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/tutors?tutor=t-1"
    assert door.client.get("/tutors").text == "the page"


def test_the_cookie_is_closed_to_scripts_and_to_other_sites(door: Door) -> None:
    cookies = [line for line in door.sign_in().headers.get_list("set-cookie") if identity.COOKIE in line]
    assert "HttpOnly" in cookies[0]
    assert "SameSite=lax" in cookies[0]
    assert "Secure" not in cookies[0]


def test_behind_https_the_cookie_travels_over_https_only(
    opened: tuple[Settings, Operations], door: Door
) -> None:
    settings = opened[0].model_copy(update={"public_url": "https://chalkline.example.org"})
    secure = door_at(settings, opened[1], NOON, door.user_id)
    page = secure.client.get("/login")
    assert "Secure" in page.headers["set-cookie"]
    assert "strict-transport-security" in page.headers


@pytest.mark.parametrize("email", ["admin@example.org", "nobody@example.org"])
def test_a_wrong_password_and_an_unknown_account_sound_the_same(door: Door, email: str) -> None:
    answer = door.sign_in(password="not the password", email=email)
    assert answer.status_code == 401
    assert users.REFUSED_TEXT in answer.text
    assert identity.COOKIE not in answer.headers.get("set-cookie", "")


def test_after_ten_wrong_tries_the_right_password_is_refused_too(door: Door) -> None:
    for _ in range(users.TRIES_PER_ACCOUNT):
        door.sign_in(password="not the password")
    assert door.sign_in().status_code == 401


def test_a_form_without_our_token_is_refused(door: Door) -> None:
    good = {"email": "admin@example.org", "password": PASSWORD}
    assert door.client.post("/login", data=good, follow_redirects=False).status_code == 403
    token = door.form()
    assert door.client.post("/login", data={**good, "csrf": token + "x"}).status_code == 403
    foreign = {"origin": "https://evil.example.org"}
    answer = door.client.post("/login", data={**good, "csrf": token}, headers=foreign, follow_redirects=False)
    assert answer.status_code == 403
    door.client.cookies.clear()
    assert door.client.post("/login", data={**good, "csrf": token}, follow_redirects=False).status_code == 403


def test_a_second_tab_does_not_spoil_the_first_ones_form(door: Door) -> None:
    first = door.form()
    door.form()
    data = {"csrf": first, "email": "admin@example.org", "password": PASSWORD}
    assert door.client.post("/login", data=data, follow_redirects=False).status_code == 303


def test_a_form_of_megabytes_is_not_read(door: Door) -> None:
    data = {"csrf": door.form(), "email": "x" * 2_000_000, "password": PASSWORD}
    assert door.client.post("/login", data=data).status_code == 403


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("/supply?subject=algebra", True),
        ("https://evil.example.org", False),
        ("//evil.example.org", False),
        ("/\\evil.example.org", False),
        ("javascript:alert(1)", False),
        ("/logout", False),
        ("/a\nSet-Cookie: x=1", False),
        (None, False),
    ],
)
def test_signing_in_leads_to_this_site_only(target: str | None, allowed: bool) -> None:
    assert login.safe_next(target) == (target if allowed else "/")


def test_a_cookie_that_was_changed_stands_for_nobody(door: Door) -> None:
    door.sign_in()
    real = door.client.cookies[identity.COOKIE]
    forged = URLSafeSerializer("another secret", salt="chalkline.session").dumps(
        {"user": door.user_id, "epoch": 1, "until": 4_000_000_000}
    )
    # Not the last letter: its last bits are padding.
    changed = real[:-9] + ("A" if real[-9] != "A" else "B") + real[-8:]
    for cookie in (changed, "x" + real, forged, "", "a.b", None):
        assert door.gate.person(cookie) is None
    assert door.gate.person(real) is not None


def test_a_sign_in_ends_after_a_working_day(door: Door) -> None:
    door.sign_in()
    cookie = door.client.cookies[identity.COOKIE]
    for after, is_in in ((identity.LIFETIME - timedelta(seconds=1), True), (identity.LIFETIME, False)):
        later = identity.person_behind(
            cookie, settings=door.gate.settings, operations=door.operations, now=NOON + after
        )
        assert (later is not None) == is_in


@pytest.mark.parametrize("what", ["disabled", "role changed", "sessions ended", "new password"])
def test_what_happens_to_an_account_ends_its_open_sessions_at_once(door: Door, what: str) -> None:
    door.sign_in()
    cookie = door.client.cookies[identity.COOKIE]
    assert door.gate.person(cookie) is not None
    with door.operations.session() as session:
        if what == "disabled":
            users.set_active(session, door.user_id, is_active=False, actor="test", now=NOON)
        elif what == "role changed":
            users.change_role(session, door.user_id, role="viewer", actor="test", now=NOON)
        elif what == "sessions ended":
            users.end_sessions(session, door.user_id, actor="test", now=NOON)
        else:
            token = users.issue_setup_token(session, door.user_id, actor="test", now=NOON)
            users.set_password(session, token=token, password="another long password", now=NOON)
    assert door.gate.person(cookie) is None
    assert door.client.get("/tutors", follow_redirects=False).status_code == 303


def test_signing_out_ends_every_session_and_wants_its_own_link(door: Door) -> None:
    door.sign_in()
    cookie = door.client.cookies[identity.COOKIE]
    assert door.client.get("/logout", follow_redirects=False).headers["location"] == "/"
    assert door.gate.person(cookie) is not None
    person = door.gate.person(cookie)
    assert person is not None
    token = identity.sign_out_token(door.gate.settings, person)
    answer = door.client.get(f"/logout?token={token}", follow_redirects=False)
    assert answer.headers["location"] == "/login"
    assert door.gate.person(cookie) is None


def test_a_setup_link_works_once(door: Door) -> None:
    with door.operations.session() as session:
        _, token = users.create_user(
            session, email="new@example.org", name="New", role="viewer", actor="test", now=NOON
        )
    words = "four unrelated words here"
    form = {"token": token, "password": words, "password_again": words}
    csrf = door.form(f"/setup?token={token}")
    other = door.client.post("/setup", data={**form, "csrf": csrf, "password_again": "x"})
    assert other.status_code == 400
    assert "not the same" in other.text
    short = door.client.post(
        "/setup", data={"token": token, "password": "x", "password_again": "x", "csrf": csrf}
    )
    assert short.status_code == 400
    done = door.client.post("/setup", data={**form, "csrf": csrf}, follow_redirects=False)
    assert done.status_code == 303
    assert door.client.get("/").text == "the page"
    again = door.client.post("/setup", data={**form, "csrf": door.form("/setup")}, follow_redirects=False)
    assert again.status_code == 400


def test_what_a_visitor_typed_comes_back_as_text(door: Door) -> None:
    answer = door.sign_in(password="x", email='"><script>alert(1)</script>')
    assert "<script>alert(1)" not in answer.text


def test_nobody_gets_past_the_guard(door: Door) -> None:
    plain = {"accept": "*/*"}
    for path in ("/_stcore/host-config", "/media/x.csv", "/_stcore/upload_file/a/b", "/component/x/y"):
        assert door.client.get(path, headers=plain, follow_redirects=False).status_code == 401
    assert door.client.get("/alerts", follow_redirects=False).status_code == 303
    with pytest.raises(Exception), door.client.websocket_connect("/_stcore/stream"):  # noqa: B017, PT011
        pass


def test_the_headers_close_the_page_to_foreign_frames_and_scripts() -> None:
    headers = security_headers(is_secure=False)
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "object-src 'none'" in policy
    assert "'unsafe-eval'" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_secret_is_made_once_and_readable_by_its_owner_only(make_state: Callable[[], Path]) -> None:
    settings = Settings(state=make_state())
    secret = identity.secret_of(settings)
    assert len(secret) >= 48
    assert identity.secret_of(settings) == secret
    assert (settings.state / "session_secret").stat().st_mode & 0o777 == 0o600
