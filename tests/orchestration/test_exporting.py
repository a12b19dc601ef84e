"""What is held about one person, handed out: theirs whole, and nobody else's name in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from assets.resources import House
from data.contracts.personal import Person
from data.lake.erasure import erase, traces_of
from data.lake.intake import Arrival, take_in
from data.operations import audit, publications
from orchestration.erasing import NobodyKnown
from orchestration.exporting import export

DANA = Person("customer", "cus_7")
MADE_UP = {
    "core.fct_sessions": "'ses_1' as session_id, 'cus_7' as customer_id, now()::timestamp as scheduled_start_at",
    "core.fct_inbound_calls": "'call_1' as call_id, 'cus_7' as customer_id, now()::timestamp as called_at",
    "core.fct_engagement_events": "'e1' as event_id, 'customer' as actor_type, 'cus_8' as actor_id, "
    "now()::timestamp as occurred_at",
    "marts.fct_customer_scores": "'cus_7' as customer_id, current_date as as_of_date, 'HEALTH' as score_code, "
    "'v1' as formula_version, {'rating': 4.5} as components",
}


@pytest.fixture
def full(house: House) -> Any:
    arrival = Arrival("rails.pull", house.clock.now(), house.today())
    at = {"updated_at": "2026-03-01T11:00:00Z"}
    with house.lake() as lake:
        take_in(
            lake,
            "customers",
            [
                {"customer_id": "cus_7", "full_name": "Dana Quillfeather", "email": "dana@example.org"} | at,
                {"customer_id": "cus_8", "full_name": "Otto Other", "email": "otto@example.org"} | at,
            ],
            arrival,
        )
        session = {"status": "finished", "scheduled_start_at": "2026-03-01T10:00:00Z"} | at
        comments = {"ses_1": ("cus_7", "Otto Other came too."), "ses_2": ("cus_8", "Private to Otto.")}
        take_in(
            lake,
            "sessions",
            [
                session | {"session_id": name, "customer_id": who, "student_comment": words}
                for name, (who, words) in comments.items()
            ],
            arrival,
        )
        for relation, columns in MADE_UP.items():
            lake.connection.execute(f"create or replace table lake.{relation} as select {columns}")
        with house.operations.session() as store:
            publications.publish(
                store, snapshot_id=lake.snapshot_id(), lane="fast", as_of_date=house.today(), checks={},
                now=house.clock.now(),
            )  # fmt: skip
        yield house
        for relation in MADE_UP:
            lake.connection.execute(f"drop table lake.{relation}")


def test_an_export_holds_what_is_theirs_and_nobody_elses_name(full: House, tmp_path: Path) -> None:
    files = export(full, DANA, tmp_path / "out", actor="test")
    account = json.loads((tmp_path / "out" / "account.json").read_text())
    assert [row["full_name"] for row in account] == ["Dana Quillfeather"]
    texts = json.loads((tmp_path / "out" / "session_texts.json").read_text())
    assert [row["student_comment"] for row in texts] == ["[somebody else] came too."]
    everything = "".join(file.read_text() for file in files)
    assert "Otto" not in everything
    assert "cus_8" not in everything
    assert '"rating"' in (tmp_path / "out" / "scores.csv").read_text().replace('""', '"')
    page = (tmp_path / "out" / "README.md").read_text()
    assert all(f"| {file.stem} |" in page for file in files if file.suffix == ".csv")


def test_an_export_is_audited_by_identifier(full: House, tmp_path: Path) -> None:
    files = export(full, DANA, tmp_path / "out", actor="test")
    with full.operations.session() as session:
        (entry,) = audit.entries_about(session, "customer:cus_7")
    assert (entry.action, entry.details) == ("person.exported", {"files": len(files)})


def test_of_an_erased_person_the_rest_is_exported_without_a_name(full: House, tmp_path: Path) -> None:
    with full.lake() as lake:
        erase(lake, DANA, traces_of(lake, DANA))
    files = export(full, DANA, tmp_path / "out", actor="test")
    assert "Dana" not in "".join(file.read_text() for file in files)
    assert len(json.loads((tmp_path / "out" / "sessions.json").read_text())) == 1


def test_an_export_wants_a_person_that_is_known_and_a_folder_of_its_own(full: House, tmp_path: Path) -> None:
    with pytest.raises(NobodyKnown):
        export(full, Person("tutor", "nobody"), tmp_path / "out", actor="test")
    (tmp_path / "kept.txt").write_text("x")
    with pytest.raises(FileExistsError, match="is not empty"):
        export(full, DANA, tmp_path, actor="test")
