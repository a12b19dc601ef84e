"""The first people of a demonstration: one per role, and coaches who share the tutors among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.clock import SystemClock
from data.operations import roster, users

if TYPE_CHECKING:
    from assets.resources import House
    from data.operations.tables import Role

PEOPLE: tuple[tuple[str, str, Role], ...] = (
    ("admin@example.com", "Ada Admin", "admin"),
    ("engineer@example.com", "Emil Engineer", "engineer"),
    ("analyst@example.com", "Ana Analyst", "analyst"),
    ("viewer@example.com", "Vic Viewer", "viewer"),
    ("coach.north@example.com", "Nora North", "coach"),
    ("coach.south@example.com", "Sam South", "coach"),
    ("coach.east@example.com", "Eve East", "coach"),
    ("coach.west@example.com", "Will West", "coach"),
)
SETUP_FILE = "setup_links.txt"


def settle_people(house: House) -> str:
    """Add the people that are missing and give each tutor without a coach to one, in turn. Safe to run twice.

    The one-time links are written to the state folder, readable by its owner only: there is no default password.
    """
    # By the machine's clock, even in a replay of another year: the links are opened today, and expire.
    now = SystemClock().now()
    links: list[str] = []
    with house.operations.session() as session:
        for email, name, role in PEOPLE:
            if users.user_by_email(session, email) is None:
                _, token = users.create_user(session, email=email, name=name, role=role, actor="day", now=now)
                links.append(f"{role:<9} {email:<24} {house.settings.public_url}/setup?token={token}")
    if links:
        file = house.settings.state / SETUP_FILE
        file.touch(mode=0o600)
        file.write_text("\n".join(links) + "\n")
    return f"{len(links)} people added, {_share_tutors(house)} tutors given to coaches"


def _share_tutors(house: House) -> int:
    with house.lake() as lake:
        tutors = lake.read(
            "select distinct tutor_id from lake.raw_marketplace.sessions where tutor_id is not null order by 1"
        )["tutor_id"].to_list()
    now = house.clock.now()
    with house.operations.session() as session:
        coaches = [user.user_id for user in users.list_users(session, role="coach")]
        known = set(roster.coaches_of(session, tutors))
        missing = [tutor for tutor in tutors if tutor not in known]
        for number, coach in enumerate(coaches):
            share = missing[number :: len(coaches)]
            if share:
                roster.assign(session, share, coach_id=coach, actor="day", now=now)
    return len(missing)
