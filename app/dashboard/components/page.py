"""What every page has: heading, the line that says which data it shows, empty states, and its refusals.

What belongs here: the frame around an answer. What does not: answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import NoReturn
from urllib.parse import quote

import streamlit as st

from app.dashboard import access, identity, stores, wording
from app.dashboard.access import Permission
from app.dashboard.identity import Person
from app.dashboard.palette import Tone, tone_of
from app.dashboard.stores import Published

POLL_SECONDS = 30
OLD_AFTER_SECONDS = 3 * 3600
_ICONS: dict[str, str] = {
    "red": "red",
    "amber": "orange",
    "green": "green",
    "accent": "blue",
    "grey": "gray",
    "": "gray",
}


@dataclass(frozen=True)
class Lens:
    """Who looks, and at which published version. Every question is asked through one."""

    person: Person
    published: Published

    @property
    def zone(self) -> str:
        """Return the business time zone."""
        return stores.settings().business_time_zone

    @property
    def as_of_date(self) -> date:
        """Return the business date of the version."""
        return self.published.as_of_date


def begin(title: str, question: str, permission: Permission) -> Lens:
    """Open a page: check the role, say which data it shows. Stops the page where there is nothing to see."""
    person = identity.current_person()
    if person is None:
        signed_out()
    st.title(title, anchor=False)
    try:
        access.require(person, permission)
    except access.AccessDenied:
        st.info(f"Your role, {person.role}, does not include this page. An administrator can change that.")
        st.stop()
    st.caption(question)
    published = stores.published()
    with st.container(key="page_version"):
        version_line(published)
    if published is None:
        empty(
            "Nothing is published yet.",
            "The first run of a lane publishes version 1; this page then fills by itself.",
        )
        st.stop()
    return Lens(person, published)


def signed_out() -> NoReturn:
    """Say that the session has ended, and stop."""
    st.title("Signed out", anchor=False)
    st.write("Your session has ended, or your account was changed.")
    same_tab_link("/login", "Sign in again")
    st.stop()
    raise RuntimeError("a stopped page went on")


def sign_out_link(token: str) -> None:
    """Draw the link that ends every session of this person."""
    same_tab_link(f"/logout?token={quote(token, safe='')}", "Sign out")


def same_tab_link(path: str, text: str) -> None:
    """Draw a link that leaves the page. Markdown would open it in another tab. Path and text are ours, escaped."""
    st.html(f'<a href="{escape(path, quote=True)}" target="_self" class="plain-link">{escape(text)}</a>')


def version_line(published: Published | None) -> None:
    """Draw the line that says version, day and age, and keep it true while the page stays open."""

    @st.fragment(run_every=POLL_SECONDS)
    def line() -> None:
        seen = stores.published()
        if (seen.version if seen else None) != (published.version if published else None):
            st.rerun()
        if (seen.hold if seen else None) != (published.hold if published else None):
            st.rerun()
        st.caption(_line_text(seen))

    line()


def _line_text(published: Published | None) -> str:
    if published is None:
        return ":gray[● Connected. No version is published.]"
    now = stores.clock().now()
    age = (now - published.published_at).total_seconds()
    zone = stores.settings().business_time_zone
    colour = "orange" if age > OLD_AFTER_SECONDS or published.hold else "green"
    text = (
        f":{colour}[●] :gray[Version {published.version} · data of {wording.day(published.as_of_date, year=True)}"
        f" · published {wording.clock(published.published_at, zone)}, {wording.ago(published.published_at, now)}]"
    )
    if published.hold is not None:
        text += f" :orange[· held since {wording.moment(published.hold.placed_at, zone)} by a rollback]"
    elif age > OLD_AFTER_SECONDS:
        text += " :orange[· older than usual]"
    return text


def empty(headline: str, why: str) -> None:
    """Say in place of a chart or a table that there is nothing, and why."""
    with st.container(border=True):
        st.markdown(f"**{_safe(headline)}**  \n:gray[{_safe(why)}]")


def section(title: str, note: str = "") -> None:
    """Open a part of a page, with one line on how to read it."""
    st.markdown(f"### {_safe(title)}" + (f"\n:gray[:small[{_safe(note)}]]" if note else ""))


def chip(text: str, tone: Tone | None = None) -> str:
    """Return markdown for a coloured word; without a tone its colour is that of the word itself."""
    return f":{_ICONS[tone if tone is not None else tone_of(text)]}-badge[{_safe(text)}]"


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Draw label and value pairs as one quiet line that wraps on a small screen."""
    st.markdown(" :gray[·] ".join(f":gray[{_safe(name)}] {_safe(value)}" for name, value in pairs))


def plain(text: str) -> str:
    """Return text of unknown origin so that markdown shows it as it is."""
    return _safe(text)


def _safe(text: str) -> str:
    special = "\\`*_{}[]<>#|$~"
    return "".join(f"\\{letter}" if letter in special else letter for letter in str(text)).replace("\n", " ")
