import dataclasses
import re
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import jinja2
import pytest

from notifications import render
from notifications.content import (
    AlertContent,
    DigestContent,
    DigestItem,
    EvidenceLine,
    Footer,
    ImportOutcome,
    Metric,
    RefusalCause,
    SetupLink,
    SystemFailure,
)
from notifications.evidence import evidence_lines, evidence_sentence
from notifications.render import Rendered

NOON = datetime(2026, 3, 2, 19, 5, tzinfo=UTC)
NEW_YORK = "America/New_York"
PAGE = "https://chalkline.example.org/alerts/1"
FOOTER = Footer(37, NOON, NEW_YORK, "https://chalkline.example.org/preferences")
ALERT = AlertContent(
    severity="critical",
    title="Tutor missed two sessions in a week",
    about="Dana Whitfield",
    about_detail="Tutor T-1042",
    evidence=(EvidenceLine("No-show rate", "25 %"), EvidenceLine("Sessions", "8")),
    recommended_action="Call Dana today.",
    url=PAGE,
    happened_at=NOON,
)
ITEM = DigestItem("high", "Tutor was late", "Amir Rahimi", "Late by 24 min", "Ask for the reason.", PAGE)
DIGEST = DigestContent("coach", "Kim", date(2026, 3, 2), PAGE, new=(ITEM,), still_open=(ITEM, ITEM))
FAILURE = SystemFailure("the pull of customers", "It answered 503.", "Run it again.", NOON, PAGE)
OUTCOME = ImportOutcome(
    file_name="bookings.csv",
    what="sessions",
    source="import.school",
    describes="Bookings of a school.",
    read_count=10_000,
    refused_count=1_000,
    counts=(EvidenceLine("Loaded", "9,000"),),
    refusals=(RefusalCause("student_rating", "Input should be less than or equal to 5", 1_000, "line 17"),),
    empty_fields=("tutor_rating", "booked_at"),
    notes=("Nobody rates twice.",),
)
SETUP = SetupLink("Kim", "Robin", PAGE + "?token=abc", NOON + timedelta(days=7))


class Page(HTMLParser):
    """What a browser would see: tags, attributes, words."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def an_outcome_of(name: str) -> ImportOutcome:
    return dataclasses.replace(
        OUTCOME,
        file_name=name,
        describes=name,
        notes=(name,),
        refusals=(RefusalCause(name, name, 1, name),),
    )


def every_mail(alert: AlertContent, item: DigestItem, name: str) -> list[Rendered]:
    digest = dataclasses.replace(
        DIGEST, name=name, new=(item,), shortages=(item,), metrics=(Metric(name, name, name),)
    )
    return [
        render.render_alert(alert, FOOTER),
        render.render_alerts([alert, alert], FOOTER, url=PAGE),
        render.render_digest(digest, FOOTER),
        render.render_system_failure(dataclasses.replace(FAILURE, what=name, cause=name), FOOTER),
        render.render_setup_link(dataclasses.replace(SETUP, name=name, invited_by=name), FOOTER),
        render.render_import_outcome(an_outcome_of(name), FOOTER),
    ]


def test_an_alert_says_what_why_what_to_do_and_where() -> None:
    mail = render.render_alert(ALERT, FOOTER)
    assert mail.subject == "Tutor missed two sessions in a week: Dana Whitfield"
    page = Page(mail.html)
    for told in (page.text, " ".join(mail.text.split())):
        for part in (
            "Dana Whitfield",
            "Tutor T-1042",
            "Mon 2 Mar, 14:05",
            "No-show rate",
            "25 %",
            "Call Dana today.",
        ):
            assert part in told
        assert "From published version 37, 14:05." in told
    assert page.links.count(PAGE) == 1
    assert PAGE in mail.text
    assert "https://chalkline.example.org/preferences" in page.links


def test_a_raised_severity_is_in_the_subject_and_the_body() -> None:
    mail = render.render_alert(dataclasses.replace(ALERT, previous_severity="high"), FOOTER)
    assert mail.subject.startswith("Now critical: ")
    assert "Critical, was high" in Page(mail.html).text


def test_styles_are_inlined_and_only_the_screen_rules_stay() -> None:
    mail = render.render_alert(ALERT, FOOTER).html
    kept = re.findall(r"<style[^>]*>(.*?)</style>", mail, re.DOTALL)
    assert len(kept) == 1
    assert "prefers-color-scheme: dark" in kept[0]
    assert "max-width: 480px" in kept[0]
    assert re.search(r'<h1 style="[^"]*font-size: 23px', mail)


def test_a_mail_loads_nothing_from_anywhere() -> None:
    for mail in every_mail(ALERT, ITEM, "Kim"):
        assert not {"img", "script", "link", "iframe"} & set(Page(mail.html).tags)
        assert "url(" not in mail.html
        assert "@import" not in mail.html


def test_a_list_names_each_alert_and_how_many_are_left() -> None:
    mail = render.render_alerts([ALERT] * 14, FOOTER, url=PAGE)
    assert mail.subject == "14 critical alerts"
    assert mail.text.count("Dana Whitfield") == render.MOST_LINES
    assert "And 4 more on the page." in mail.text
    mixed = render.render_alerts([ALERT, dataclasses.replace(ALERT, severity="high")], FOOTER, url=PAGE)
    assert mixed.subject == "2 alerts, worst is critical"


def test_the_outcome_of_an_import_says_what_came_in_what_did_not_and_what_is_missing() -> None:
    mail = render.render_import_outcome(OUTCOME, Footer(None, None, NEW_YORK))
    assert mail.subject == "Bookings.csv: 9,000 of 10,000 sessions came in"
    for told in (Page(mail.html).text, " ".join(mail.text.split())):
        for part in (
            "Bookings of a school.",
            "9,000",
            "1,000",
            "student_rating: Input should be less than or equal to 5",
            "line 17",
            "tutor_rating, booked_at",
            "Nobody rates twice.",
            "send the file again",
            "Sent by Chalkline.",
        ):
            assert part in told


def test_the_outcome_of_a_file_without_a_fault_speaks_of_none() -> None:
    clean = dataclasses.replace(OUTCOME, refused_count=0, refusals=(), empty_fields=(), notes=())
    mail = render.render_import_outcome(clean, FOOTER)
    assert mail.subject == "Bookings.csv: 10,000 of 10,000 sessions came in"
    assert "refused" not in mail.text
    assert "empty" not in mail.text


def test_many_causes_of_refusal_are_cut_and_counted() -> None:
    causes = tuple(RefusalCause(f"field_{n}", "is wrong", 1, "line 2") for n in range(14))
    mail = render.render_import_outcome(dataclasses.replace(OUTCOME, refusals=causes), FOOTER)
    assert mail.text.count("is wrong") == render.MOST_LINES
    assert "And 4 more causes." in mail.text
    assert "And 4 more causes." in Page(mail.html).text


def test_a_list_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        render.render_alerts([], FOOTER, url=PAGE)


def test_a_digest_is_a_short_list_with_evidence_and_action() -> None:
    mail = render.render_digest(DIGEST, FOOTER)
    assert mail.subject == "Your day: 1 new, 2 still open"
    text = Page(mail.html).text
    assert text.index("New") < text.index("Still open")
    assert "Resolved" not in text
    assert text.count("Late by 24 min") == text.count("Ask for the reason.") == 3


def test_a_long_section_is_cut_and_says_so() -> None:
    mail = render.render_digest(dataclasses.replace(DIGEST, still_open=(ITEM,) * 300), FOOTER)
    assert "And 290 more on the page." in mail.text
    assert "And 290 more on the page." in Page(mail.html).text
    assert len(mail.html) < 60_000


def test_an_empty_digest_says_that_nothing_is_open() -> None:
    mail = render.render_digest(DigestContent("coach", "Kim", date(2026, 3, 2), PAGE), FOOTER)
    assert mail.subject == "Your day: nothing new"
    assert "nothing is open" in mail.text


def test_the_operators_digest_leads_with_numbers_and_shortages() -> None:
    digest = DigestContent(
        "operator",
        "Operations",
        date(2026, 3, 2),
        PAGE,
        metrics=(Metric("Sessions yesterday", "3,012", "4 % more"),),
        shortages=(dataclasses.replace(ITEM, title="Chemistry is short"),),
        new=(ITEM,),
    )
    for text in (
        render.render_digest(digest, FOOTER).text,
        Page(render.render_digest(digest, FOOTER).html).text,
    ):
        assert text.index("3,012") < text.index("Chemistry is short") < text.rindex("Tutor was late")


def test_a_system_failure_names_the_thing_the_cause_and_the_next_step() -> None:
    mail = render.render_system_failure(FAILURE, FOOTER)
    assert mail.subject == "Not working: the pull of customers"
    for part in ("It answered 503.", "Run it again.", "Mon 2 Mar, 14:05"):
        assert part in mail.text
        assert part in Page(mail.html).text


def test_a_setup_link_stands_in_both_parts_with_its_end() -> None:
    mail = render.render_setup_link(SETUP, Footer(None, None, NEW_YORK))
    assert SETUP.url in mail.text
    assert SETUP.url in Page(mail.html).links
    assert "Mon 9 Mar, 15:05" in mail.text
    assert "version" not in mail.text


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'-alert(1)-'",
    "{{ 7 * 7 }}{% raw %}",
    "</td></table><h1>x",
    "<a href='javascript:alert(1)'>x</a>",
    "\u202eevil\x00\r\nBcc: all@example.org",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_never_become_markup_code_or_headers(hostile: str) -> None:
    alert = dataclasses.replace(
        ALERT,
        about=hostile,
        about_detail=hostile,
        title=hostile,
        recommended_action=hostile,
        evidence=(EvidenceLine(hostile, hostile),),
    )
    item = dataclasses.replace(
        ITEM, title=hostile, about=hostile, evidence=hostile, recommended_action=hostile, note=hostile
    )
    harmless = every_mail(ALERT, dataclasses.replace(ITEM, note="x"), "Kim")
    for mail, calm in zip(every_mail(alert, item, hostile), harmless, strict=True):
        page, expected = Page(mail.html), Page(calm.html)
        assert set(page.tags) <= set(expected.tags)
        assert page.attributes <= expected.attributes
        assert all(link.startswith("https://chalkline.example.org/") for link in page.links)
        assert "49" not in page.text
        assert "\n" not in mail.subject
        assert "\r" not in mail.subject
        assert not {"\x00", "\u202e"} & set(mail.text + mail.html + mail.subject)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "alerts/1"])
def test_a_link_that_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a web address"):
        render.render_alert(dataclasses.replace(ALERT, url=url), FOOTER)


def test_a_missing_value_is_an_error_and_never_a_blank() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render._render("alert", "x", FOOTER)


EVIDENCE: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"late_minutes": 23.6}, [("Late by", "24 min")]),
    ({"no_show_rate": 0.25}, [("No-show rate", "25 %")]),
    ({"reschedule_rate": 0.1534}, [("Reschedule rate", "15.3 %")]),
    ({"score": 41.5, "sessions_count": 1204}, [("Score", "41.5"), ("Sessions", "1,204")]),
    (
        {"p_shortage": 0.83, "ratio": 0.4567},
        [("Chance of a shortage", "83 %"), ("Supply for each hour of demand", "0.46")],
    ),
    ({"tutor_id": "T-1", "formula_version": "v2", "score": None, "reasons": []}, []),
    ({"called_at": "2026-03-02T18:00:00"}, [("Called", "Mon 2 Mar, 13:00")]),
    ({"window_date": "2026-03-02"}, [("Window", "Mon 2 Mar 2026")]),
    ({"called_at": "not a date"}, [("Called", "not a date")]),
    ({"is_new": True}, [("New", "yes")]),
    ({"reasons": ["late", "short"]}, [("Reasons", "late, short")]),
    ({"parts": {"late_minutes": 3, "is_new": False}}, [("Parts", "Late by 3 min, New no")]),
]


@pytest.mark.parametrize(("evidence", "lines"), EVIDENCE)
def test_evidence_reads_like_words(evidence: dict[str, Any], lines: list[tuple[str, str]]) -> None:
    assert [(e.label, e.value) for e in evidence_lines(evidence, time_zone=NEW_YORK)] == lines


def test_an_evidence_sentence_is_short() -> None:
    lines = evidence_lines({"late_minutes": 24, "is_new": True, "n": 3, "score": 9}, time_zone=NEW_YORK)
    assert evidence_sentence(lines) == "Score 9 · Late by 24 min · New"


def test_a_measured_value_is_told_under_the_name_of_what_was_measured() -> None:
    evidence = {"value": 23.4, "measure": "late_minutes", "threshold": 20.0, "subject_id": "algebra"}
    lines = evidence_lines(evidence, time_zone=NEW_YORK)
    assert [(line.label, line.value) for line in lines] == [("Late by", "23 min (limit 20 min)")]


def test_a_missed_session_is_told_as_a_fact_and_not_as_a_number() -> None:
    evidence = {"value": 1.0, "measure": "tutor_no_show", "threshold": 1.0}
    lines = evidence_lines(evidence, time_zone=NEW_YORK)
    assert [(line.label, line.value) for line in lines] == [("Tutor", "did not join")]


def test_a_score_is_told_with_its_limit_and_what_moved_it_most() -> None:
    parts = [{"name": "no_shows", "points": -20.1}, {"name": "lateness", "points": 0.0}]
    lines = evidence_lines({"components": parts, "score": 41.2, "threshold": 55}, time_zone=NEW_YORK)
    assert [(line.label, line.value) for line in lines] == [
        ("Score", "41.2 (limit 55)"),
        ("Components", "no shows -20.1"),
    ]
