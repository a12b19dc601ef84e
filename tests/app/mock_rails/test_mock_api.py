"""The API has the habits of a Rails API: tokens, paging, links, refusals, limits."""

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from app.mock_rails.api import Limiter, Marketplace, Refusal, token_of
from app.mock_rails.clock import Clock
from app.mock_rails.config import Config, parse_instant
from app.mock_rails.world.build import KINDS, World

UNTIL = datetime(2026, 11, 21, 12, tzinfo=UTC)
Client = Callable[..., TestClient]
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SESSION_FIELDS = {
    "session_id", "tutor_id", "student_id", "subjects_covered", "status", "session_start_time",
    "session_end_time", "tutor_join_time", "tutor_leave_time", "student_join_time", "student_leave_time",
    "is_first_session", "was_rescheduled", "reschedule_count", "rescheduled_by", "tutor_feedback",
    "student_feedback", "student_booked_followup", "booked_at", "updated_at", "video_url", "transcript_url",
    "ai_summary",
}  # fmt: skip
FIELDS = {
    "sessions": SESSION_FIELDS,
    "customers": {"customer_id", "name", "email", "phone", "signed_up_at", "acquisition_channel", "time_zone",
                  "active", "goals", "updated_at"},
    "tutors": {"tutor_id", "name", "email", "hired_at", "time_zone", "active", "subjects", "availability",
               "leave", "updated_at"},
    "inbound_calls": {"call_id", "customer_id", "call_date", "reason_code", "updated_at"},
    "reschedules": {"reschedule_id", "session_id", "tutor_id", "student_id", "rescheduled_by", "reason",
                    "original_start_time", "new_start_time", "rescheduled_at", "updated_at"},
    "engagement_events": {"event_id", "actor_type", "actor_id", "event_type", "occurred_at", "session_id",
                          "updated_at"},
}  # fmt: skip
IDS = {"sessions": "session_id", "customers": "customer_id", "tutors": "tutor_id", "inbound_calls": "call_id",
       "reschedules": "reschedule_id", "engagement_events": "event_id"}  # fmt: skip


def links(header: str) -> dict[str, str]:
    return {name: url for url, name in re.findall(r'<([^>]+)>; rel="(\w+)"', header)}


def test_up_needs_no_token(client_at: Client) -> None:
    assert client_at(token="wrong").get("/up").status_code == 200


@pytest.mark.parametrize(
    "header", ["Token token=mock-token", 'Token token="mock-token"', "Bearer mock-token"]
)
def test_both_kinds_of_token_open_the_door(client_at: Client, header: str) -> None:
    assert client_at().get("/api/v1/tutors", headers={"Authorization": header}).status_code == 200


def test_a_wrong_or_missing_token_is_refused(client_at: Client) -> None:
    answer = client_at(token="wrong").get("/api/v1/tutors")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Token")
    assert "token" in answer.json()["errors"]
    assert token_of(None) == token_of("Basic abc") == token_of("Token nothing") == ""


@pytest.mark.parametrize(
    "path", ["/nowhere", "/api/v1/invoices", "/api/v1/sessions/ses_999999", "/api/v1/invoices/1"]
)
def test_what_does_not_exist_is_not_found(client_at: Client, path: str) -> None:
    answer = client_at().get(path)
    assert answer.status_code == 404
    assert answer.json() == {"errors": {"base": ["Not Found"]}}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=two", "page"),
        ("page=-1", "page"),
        ("per_page=501", "per_page"),
        ("per_page=", "per_page"),
        ("updated_since=yesterday", "updated_since"),
        ("updated_since=", "updated_since"),
    ],
)
def test_a_bad_parameter_is_unprocessable_and_named(client_at: Client, query: str, field: str) -> None:
    answer = client_at().get(f"/api/v1/sessions?{query}")
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]


def test_too_many_requests_are_told_when_to_come_back(client_at: Client) -> None:
    client = client_at(config=Config(requests_per_minute=2))
    codes = [client.get("/api/v1/tutors").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    answer = client.get("/api/v1/tutors")
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_the_limit_is_per_token_and_starts_anew_each_minute() -> None:
    limiter = Limiter(per_minute=1)
    limiter.take("a", 0.0)
    limiter.take("b", 1.0)
    with pytest.raises(Refusal) as refused:
        limiter.take("a", 20.0)
    assert refused.value.headers == {"Retry-After": "40"}
    limiter.take("a", 60.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_pages_hold_every_record_exactly_once_in_order(client_at: Client, kind: str) -> None:
    client = client_at()
    url, records = f"/api/v1/{kind}?per_page=37", []
    while url:
        answer = client.get(url)
        page = answer.json()[kind]
        assert answer.headers["x-per-page"] == "37"
        records += page
        found = links(answer.headers["link"])
        assert {"first", "last"} <= set(found)
        assert ("prev" in found) == (answer.headers["x-page"] != "1")
        url = found.get("next", "")
    assert len(records) == int(answer.headers["x-total"])
    ids = [record[IDS[kind]] for record in records]
    assert len(set(ids)) == len(ids)
    keys = [(record["updated_at"], record[IDS[kind]]) for record in records]
    assert keys == sorted(keys)
    assert all(set(record) == FIELDS[kind] for record in records)
    assert all(ISO.fullmatch(record["updated_at"]) for record in records)


def test_links_keep_the_other_parameters(client_at: Client) -> None:
    answer = client_at().get("/api/v1/sessions?per_page=50&updated_since=2026-11-01T00:00:00Z&page=2")
    found = links(answer.headers["link"])
    query = parse_qs(urlsplit(found["next"]).query)
    assert query == {"per_page": ["50"], "updated_since": ["2026-11-01T00:00:00Z"], "page": ["3"]}
    assert parse_qs(urlsplit(found["prev"]).query)["page"] == ["1"]


@pytest.mark.parametrize("kind", ["sessions", "reschedules"])
def test_updated_since_includes_its_own_instant(client_at: Client, kind: str) -> None:
    client = client_at()
    everything = client.get(f"/api/v1/{kind}?per_page=500").json()[kind]
    border = everything[20]["updated_at"]
    later = client.get(f"/api/v1/{kind}", params={"updated_since": border, "per_page": 1}).json()[kind]
    assert later[0][IDS[kind]] == everything[20][IDS[kind]]


def test_nothing_was_updated_after_now(client_at: Client) -> None:
    client = client_at()
    ahead = (UNTIL + timedelta(days=1)).isoformat()
    answer = client.get("/api/v1/sessions", params={"updated_since": ahead})
    assert answer.json() == {"sessions": []}
    assert answer.headers["x-total"] == "0"


def test_a_page_beyond_the_last_is_empty(client_at: Client) -> None:
    assert client_at().get("/api/v1/tutors?page=99").json() == {"tutors": []}


def test_the_default_page_holds_a_hundred(client_at: Client) -> None:
    assert len(client_at().get("/api/v1/sessions").json()["sessions"]) == 100


def test_one_record_equals_its_row_in_the_list(client_at: Client) -> None:
    client = client_at()
    for kind in KINDS:
        row = client.get(f"/api/v1/{kind}?per_page=3").json()[kind][2]
        assert client.get(f"/api/v1/{kind}/{row[IDS[kind]]}").json() == row


def test_the_same_world_shows_more_at_a_later_clock(client_at: Client) -> None:
    early, late = client_at(UNTIL - timedelta(days=7)), client_at(UNTIL)
    totals = [int(client.get("/api/v1/sessions").headers["x-total"]) for client in (early, late)]
    assert totals[0] < totals[1]
    booked_since = late.get(f"/api/v1/sessions?updated_since={UNTIL:%Y-%m-%dT00:00:00Z}").json()["sessions"]
    fresh = next(one for one in booked_since if one["booked_at"] > f"{UNTIL:%Y-%m-%d}")
    assert late.get(f"/api/v1/sessions/{fresh['session_id']}").status_code == 200
    assert early.get(f"/api/v1/sessions/{fresh['session_id']}").status_code == 404


def test_a_transcript_is_there_when_the_session_names_one(client_at: Client) -> None:
    client = client_at()
    sessions = client.get("/api/v1/sessions?per_page=500").json()["sessions"]
    with_one = next(one for one in sessions if one["transcript_url"])
    without = next(one for one in sessions if not one["transcript_url"])
    path = urlsplit(with_one["transcript_url"]).path
    turns = client.get(path).json()["turns"]
    assert {turn["speaker"] for turn in turns} == {"tutor", "student"}
    assert client.get(f"/transcripts/{without['session_id']}.json").status_code == 404


def test_the_log_says_when_the_future_runs_out(tiny: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not Marketplace(tiny, Clock(tiny.anchor)).warn_if_running_out()
        assert Marketplace(tiny, Clock(tiny.ends_at)).warn_if_running_out()
    assert "The world ends at" in caplog.text


def test_the_environment_sets_clock_token_and_limit() -> None:
    config = Config.from_environment(
        {"MOCK_RAILS_NOW": "2026-11-21T12:00:00Z", "MOCK_RAILS_TOKEN": "t", "MOCK_RAILS_RATE_LIMIT": "5"}
    )
    assert config == Config(token="t", fixed_now=UNTIL, requests_per_minute=5)
    assert Config.from_environment({}) == Config()
    assert parse_instant("2026-11-21T07:00:00-05:00") == UNTIL
