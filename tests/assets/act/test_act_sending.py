"""Mail that leaves: files in the outbox folder, failures told to the engineers, names that try to break out."""

from datetime import timedelta

import pytest
from act_builders import NOON, a_condition, a_no_show, a_person, find, letters, mails, past_the_baseline, tell

from assets.act.failures import report_failure
from assets.act.mails import send_due
from assets.act.names import Names
from assets.resources import House
from data.clock import FixedClock

HOSTILE = [
    "Dana\r\nBcc: everybody@example.org",
    "Dana\nSubject: You won",
    "Dana\u2028X-Injected: yes",
    "Dana\x00\x0b\x0c",
    "\u202egnp.exe\u202c",
    "D" * 10_000,
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "=?utf-8?q?encoded?=",
]


def at_later(house: House, **later: float) -> House:
    return House(house.settings, FixedClock(NOON + timedelta(**later)))


def fail(house: House, key: str = "run:1") -> int:
    return report_failure(house, key=key, what="Lane fast failed", cause="no answer", where="run 1")


def test_a_mail_without_a_provider_is_a_file_a_page_and_a_line_of_the_index(house: House) -> None:
    past_the_baseline(house)
    find(house, a_no_show())
    tell(house, names=Names({"T-1": "Dana Whitfield"}))
    assert send_due(house).sent == 1
    folder = house.settings.outbox_path
    assert [len(list(folder.glob(pattern))) for pattern in ("*.eml", "*-*.html", "index.html")] == [1, 1, 1]
    letter = letters(folder)[0]
    assert (letter["To"], letter["Subject"]) == (
        house.settings.operations_mail,
        "Tutor did not join: Dana Whitfield",
    )
    assert "Tutor did not join: Dana Whitfield" in (folder / "index.html").read_text()
    assert "Dana Whitfield" in next(folder.glob("0*.html")).read_text()


def test_sending_again_adds_no_file(house: House) -> None:
    past_the_baseline(house)
    find(house, a_no_show())
    tell(house)
    assert [send_due(house).sent, send_due(house).sent] == [1, 0]
    assert len(letters(house.settings.outbox_path)) == 1


def test_a_mail_that_waits_a_quarter_of_an_hour_is_not_sent_before(house: House) -> None:
    past_the_baseline(house)
    find(house, a_condition())
    tell(house)
    assert send_due(house).sent == 0
    assert send_due(at_later(house, minutes=15)).sent == 1


def test_an_alert_that_ends_while_its_mail_waits_is_never_mailed(house: House) -> None:
    past_the_baseline(house)
    find(house, a_condition())
    tell(house)
    find(house, at=NOON + timedelta(minutes=5))
    assert send_due(at_later(house, minutes=15)).sent == 0
    assert mails(house)[0].status == "suppressed"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_breaks_no_mail_and_no_header(house: House, name: str) -> None:
    past_the_baseline(house)
    find(house, a_no_show())
    tell(house, names=Names({"T-1": name}))
    assert send_due(house).sent == 1
    letter = letters(house.settings.outbox_path)[0]
    assert {"Bcc", "X-Injected"}.isdisjoint(letter.keys())
    assert letter.get_all("Subject") == [letter["Subject"]]
    assert str(letter["Subject"]).startswith("Tutor did not join: ")
    page = next(house.settings.outbox_path.glob("0*.html")).read_text()
    assert "<script>alert" not in page
    assert "49" not in str(letter["Subject"])


def test_a_hostile_name_breaks_no_list_of_alerts(house: House) -> None:
    past_the_baseline(house)
    find(house, *(a_no_show(f"S-{number}", f"T-{number}") for number in range(len(HOSTILE))))
    tell(house, names=Names({f"T-{number}": name for number, name in enumerate(HOSTILE)}))
    assert send_due(house).sent == 1
    assert letters(house.settings.outbox_path)[0]["Subject"] == f"{len(HOSTILE)} critical alerts"


def test_each_engineer_hears_of_a_failure_once(house: House) -> None:
    a_person(house, "emil@example.org", role="engineer")
    a_person(house, "erna@example.org", role="engineer")
    a_person(house, "nora@example.org", role="coach")
    assert [fail(house), fail(house), fail(house, "run:2")] == [2, 0, 2]
    told = sorted(str(letter["To"]) for letter in letters(house.settings.outbox_path))
    assert told == ["emil@example.org"] * 2 + ["erna@example.org"] * 2


def test_without_an_engineer_the_desk_hears_of_a_failure(house: House) -> None:
    assert fail(house) == 1
    assert letters(house.settings.outbox_path)[0]["To"] == house.settings.operations_mail


def test_a_failure_names_the_thing_the_cause_and_the_next_step(house: House) -> None:
    fail(house)
    mail = mails(house, "system")[0]
    assert mail.subject == "Not working: Lane fast failed"
    assert "no answer" in mail.text
    assert "Open run 1." in mail.text


@pytest.mark.parametrize("cause", [*HOSTILE, "", "a\nb\nc" * 2_000])
def test_whatever_a_failure_says_can_be_mailed(house: House, cause: str) -> None:
    assert report_failure(house, key="run:1", what=f"Lane {cause[:50]}", cause=cause, where="run 1") == 1
    assert len(letters(house.settings.outbox_path)) == 1
