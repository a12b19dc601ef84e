"""Sets the mails: templates, escaping, inlined styles, and a text part beside every page.

What belongs here: from content to subject, HTML and text. What does not: choosing what to say (content.py),
to whom and when (policy.py). Templates run in a sandbox; a missing value is an error, never a blank.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import css_inline
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notifications import evidence
from notifications.content import (
    AlertContent,
    DigestContent,
    Footer,
    ImportOutcome,
    SetupLink,
    SystemFailure,
)
from notifications.message import one_line
from notifications.policy import worst

TEMPLATES = Path(__file__).resolve().parent / "templates"
MOST_LINES = 10
"""Lines of one digest section, and of one list of alerts; the page has the rest."""


@dataclass(frozen=True)
class Rendered:
    """A mail as set: a subject on one line, HTML with inlined styles, and the same in plain text."""

    subject: str
    html: str
    text: str


def render_alert(content: AlertContent, footer: Footer) -> Rendered:
    """Set the mail about one alert: what, why, what to do, where."""
    raised = f"now {content.severity}: " if content.previous_severity else ""
    return _render("alert", f"{raised}{content.title}: {content.about}", footer, alert=content)


def render_alerts(contents: Sequence[AlertContent], footer: Footer, *, url: str) -> Rendered:
    """Set one mail about several alerts, worst first as given. Raises ValueError when there are none."""
    if not contents:
        raise ValueError("a list of alerts needs at least one alert")
    severity = worst(content.severity for content in contents)
    same = all(content.severity == severity for content in contents)
    subject = f"{len(contents)} {severity} alerts" if same else f"{len(contents)} alerts, worst is {severity}"
    shown, hidden = contents[:MOST_LINES], max(0, len(contents) - MOST_LINES)
    return _render("alert_burst", subject, footer, alerts=shown, hidden=hidden, heading=subject, url=url)


def render_digest(content: DigestContent, footer: Footer) -> Rendered:
    """Set a person's daily short list: new, worse, still open, resolved; shortages and key numbers."""
    sections = [
        ("New", content.new),
        ("Worse", content.worse),
        ("Still open", content.still_open),
        ("Resolved", content.resolved),
    ]
    counted = [f"{len(items)} {name.lower()}" for name, items in sections if items]
    summary = ", ".join(counted) if counted else "nothing new"
    return _render(
        "digest",
        f"Your day: {summary}",
        footer,
        digest=content,
        summary=summary,
        sections=[(name, items) for name, items in sections if items],
        most=MOST_LINES,
    )


def render_system_failure(content: SystemFailure, footer: Footer) -> Rendered:
    """Set the mail to engineers: the thing, the cause, the next step."""
    return _render("system_failure", f"Not working: {content.what}", footer, failure=content)


def render_setup_link(content: SetupLink, footer: Footer) -> Rendered:
    """Set the mail with a one-time link to choose a password."""
    return _render("setup_link", "Choose your password for Chalkline", footer, setup=content)


def render_import_outcome(content: ImportOutcome, footer: Footer) -> Rendered:
    """Set the mail to whoever sent a file: what came in, what did not and why, what the source lacks."""
    came = content.read_count - content.refused_count
    summary = f"{came:,} of {content.read_count:,} {content.what} came in"
    return _render(
        "import_outcome",
        f"{content.file_name}: {summary}",
        footer,
        outcome=content,
        summary=summary,
        most=MOST_LINES,
    )


def _render(template: str, subject: str, footer: Footer, **values: Any) -> Rendered:
    zone = ZoneInfo(footer.time_zone)
    line = one_line(subject[:1].upper() + subject[1:], longest=150)
    shared = {
        "footer": footer,
        "subject": line,
        "source": _source(footer, zone),
        "at": lambda moment: evidence.instant(moment, zone),
        "day": evidence.day,
    }
    html = _environment().get_template(f"{template}.html.j2").render(**shared, **values)
    text = _environment().get_template(f"{template}.txt.j2").render(**shared, **values)
    return Rendered(subject=line, html=_inliner().inline(html), text=text.strip() + "\n")


def _source(footer: Footer, zone: ZoneInfo) -> str:
    if footer.version is None:
        return "Sent by Chalkline."
    if footer.published_at is None:
        return f"From published version {footer.version}."
    return f"From published version {footer.version}, {footer.published_at.astimezone(zone):%H:%M}."


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is not a web address")
    return url


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is None or not name.endswith(".txt.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["web"] = _web_address
    environment.filters["sentence"] = evidence.evidence_sentence
    environment.filters["line"] = lambda text: one_line(str(text), longest=500)
    return environment


@lru_cache(maxsize=1)
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=False, keep_link_tags=False)
