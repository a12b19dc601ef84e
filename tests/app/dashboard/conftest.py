"""One published marketplace per session, people of every role, and views run as they are under AppTest."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dashboard_publishing as publishing
import pytest
from dashboard_publishing import Account
from streamlit.testing.v1 import AppTest

from app.dashboard import identity, stores
from data.operations import users
from data.operations.store import Operations
from data.operations.tables import ROLES, Role
from data.settings import Settings, get_settings

VIEWS = Path(stores.__file__).with_name("views")
PAGES = ("overview", "alerts", "tutors", "customers", "supply", "data_health")


@dataclass
class House:
    """A state folder with a marketplace in it, its store and its people."""

    settings: Settings
    operations: Operations
    now: datetime
    people: dict[Role, Account] = field(default_factory=dict)

    def cookie_of(self, account: Account) -> str:
        """Return the cookie of a fresh sign-in."""
        with self.operations.session() as session:
            user = users.user_of(session, account.user_id)
            return identity.make_cookie(self.settings, user, now=datetime.now(UTC))

    def person(self, role: Role) -> identity.Person:
        """Return somebody signed in."""
        person = identity.person_behind(
            self.cookie_of(self.people[role]),
            settings=self.settings,
            operations=self.operations,
            now=datetime.now(UTC),
        )
        assert person is not None
        return person


@pytest.fixture(scope="session")
def make_state() -> Iterator[Callable[[], Path]]:
    folders: list[Path] = []

    def make() -> Path:
        # Not pytest's own folder: that one is closed to the user the embedded server runs as.
        folder = Path(tempfile.mkdtemp(prefix="chalkline-dashboard-"))
        folder.chmod(0o755)
        folders.append(folder)
        return folder

    yield make
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def house(make_state: Callable[[], Path]) -> House:
    """The marketplace that most tests look at. Tests that change people add their own."""
    settings = Settings(state=make_state())
    now = datetime.now(UTC)
    operations = publishing.publish_marketplace(settings, now)
    people = {role: publishing.add_account(operations, role, now=now) for role in ROLES}
    publishing.give_roster(operations, people["coach"], now)
    publishing.open_alerts(operations, now)
    return House(settings, operations, now, people)


@pytest.fixture
def move_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Settings], None]]:
    """Let this process serve another state folder."""

    def move(settings: Settings) -> None:
        monkeypatch.setenv("CHALKLINE_STATE", str(settings.state))
        get_settings.cache_clear()

    yield move
    get_settings.cache_clear()


@pytest.fixture
def at_home(house: House, move_in: Callable[[Settings], None]) -> House:
    """Let this process be the one that serves the house."""
    move_in(house.settings)
    return house


View = Callable[..., AppTest]


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> View:
    """Run one view as somebody, with parameters of its address."""

    def run(name: str, cookie: str | None, **parameters: str) -> AppTest:
        monkeypatch.setattr(identity, "session_cookie", lambda: cookie)
        app = AppTest.from_file(str(VIEWS / f"{name}.py"), default_timeout=60)
        for key, value in parameters.items():
            app.query_params[key] = value
        return app.run()

    return run


def words(app: AppTest) -> str:
    """Return every word on the page, tables and tiles included."""
    said = [
        str(element.value)
        for kind in (app.title, app.subheader, app.markdown, app.caption)
        for element in kind
    ]
    said += [
        str(element.value) for kind in (app.info, app.warning, app.success, app.error) for element in kind
    ]
    return "\n".join(said + [repr(board) for board in boards(app)])


def boards(app: AppTest) -> list[Any]:
    """Return the data of every table and every group of tiles on the page."""
    found = []
    for element in app.get("bidi_component"):
        proto: Any = element.proto
        found.append(proto.json)
    return found
