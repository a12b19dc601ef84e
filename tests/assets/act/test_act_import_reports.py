"""Whoever sent a file is told what became of it, once, and never a value of it."""

import html
import re
from pathlib import Path

import pytest
from act_builders import letters

from assets.act.import_reports import mail_report
from assets.ingest.files import import_file
from assets.ingest.mapping import Mapping
from assets.ingest.report import ImportReport
from assets.ingest.unpacking import Limits
from assets.resources import House

CUSTOMERS = """id,name,channel,changed
c1,Dana Whitfield,friend,2026-01-10T15:00:00Z
c2,Amir Rahimi,{long},2026-01-10T15:00:00Z
c3,{long},web,2026-01-10T15:00:00Z
"""
MAPPING = Mapping.model_validate(
    {
        "name": "school",
        "kind": "customers",
        "describes": "Customers of a school.",
        "fields": {
            "customer_id": "id",
            "full_name": "name",
            "acquisition_channel": "channel",
            "updated_at": "changed",
        },
        "notes": ["Nobody has a time zone."],
    }
)


@pytest.fixture
def report(acting: House, tmp_path: Path) -> ImportReport:
    file = tmp_path / "customers.csv"
    file.write_text(CUSTOMERS.format(long="Zora is " + "very " * 50 + "long"))
    with acting.lake() as lake:
        return import_file(
            lake,
            file,
            MAPPING,
            clock=acting.clock,
            business_time_zone="America/New_York",
            limits=Limits.of(acting.settings),
        )


def test_the_report_of_an_import_reaches_each_address_at_once(house: House, report: ImportReport) -> None:
    assert mail_report(house, report, ["ana@school.example", "office@school.example"]) == 2
    found = letters(house.settings.outbox_path)
    assert sorted(letter["To"] for letter in found) == ["ana@school.example", "office@school.example"]
    assert {letter["Subject"] for letter in found} == {"Customers.csv: 1 of 3 customers came in"}


def test_a_report_names_causes_and_lines_and_no_value(house: House, report: ImportReport) -> None:
    mail_report(house, report, ["ana@school.example"])
    (letter,) = letters(house.settings.outbox_path)
    for kind in ("plain", "html"):
        body = letter.get_body((kind,))
        assert body is not None
        told = " ".join(html.unescape(re.sub(r"<[^>]+>", "", body.get_content())).split())
        assert "acquisition_channel: String should have at most 200 characters" in told
        assert "line 3" in told
        assert "full_name: String should have at most 200 characters" in told
        assert "Nobody has a time zone." in told
        for secret in ("Zora", "Dana", "Amir", "friend"):
            assert secret not in told


def test_the_same_import_is_told_once_to_each_address(house: House, report: ImportReport) -> None:
    assert mail_report(house, report, ["ana@school.example"]) == 1
    assert mail_report(house, report, ["Ana@school.example", "ben@school.example"]) == 1
    assert len(letters(house.settings.outbox_path)) == 2
