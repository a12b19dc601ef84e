"""Who may ask, from which version the answer comes, and how the door says no."""

from datetime import timedelta

import pytest
from api_builders import METRICS, NOON, TIMELINE, Door, an_entry, assert_problem, build, publish

from app.api.shelf import KEPT_READERS, Shelf
from app.keys import FAILURES_PER_MINUTE
from app.problems import Problem
from data.lake.writer import LakeWriter
from data.operations import api_keys, publications
from data.operations.store import Operations
from data.settings import Settings

T1 = TIMELINE.format("t1")


@pytest.mark.parametrize("path", [T1, METRICS])
def test_without_a_key_in_force_nothing_is_answered(door: Door, path: str) -> None:
    for key in ("", "ck_", "ck_" + "x" * 43, door.read_key[:-1], door.read_key + "x", "Ω" * 3):
        answer = door.client.get(path, headers={"Authorization": f"Bearer {key}".encode()} if key else {})
        problem = assert_problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert not key or key not in problem["detail"]


def test_the_key_goes_in_the_header_and_nowhere_else(door: Door) -> None:
    assert_problem(door.client.get(METRICS, params={"api_key": door.read_key}), 401)
    assert_problem(door.client.get(METRICS, headers={"Authorization": f"Basic {door.read_key}"}), 401)


def test_a_key_for_tracking_does_not_read(door: Door) -> None:
    assert_problem(door.get(METRICS, key=door.track_key), 403)


def test_a_revoked_key_is_refused_from_the_next_request_on(
    api_settings: Settings, api_operations: Operations, version: int
) -> None:
    door = Door(api_settings, api_operations)
    assert door.get(METRICS).status_code == 200
    with api_operations.session() as session:
        newest = next(key for key in api_keys.all_keys(session) if key.scopes == ["read"])
        api_keys.revoke(session, newest.key_id, actor="test", now=NOON)
    assert_problem(door.get(METRICS), 401)


def test_a_key_that_ended_is_refused(door: Door, api_operations: Operations) -> None:
    with api_operations.session() as session:
        _, token = api_keys.issue(
            session,
            name="ended",
            scopes=["read"],
            actor="test",
            now=NOON - timedelta(days=2),
            lifetime=timedelta(days=2),
        )
    assert_problem(door.get(METRICS, key=token), 401)


def test_refusals_of_one_address_are_limited_and_keys_in_force_are_not(
    api_settings: Settings, api_operations: Operations, version: int
) -> None:
    door = Door(api_settings, api_operations)
    statuses = [door.get(METRICS, key="ck_wrong").status_code for _ in range(FAILURES_PER_MINUTE + 2)]
    assert statuses == [401] * FAILURES_PER_MINUTE + [429] * 2
    assert door.get(METRICS).status_code == 200


def test_a_key_that_asks_too_often_is_told_when_to_come_back(
    api_settings: Settings, api_operations: Operations, version: int
) -> None:
    door = Door(api_settings, api_operations, requests_per_minute=3)
    assert [door.get(METRICS).status_code for _ in range(3)] == [200] * 3
    answer = door.get(METRICS)
    assert_problem(answer, 429)
    assert answer.headers["retry-after"] == "60"


@pytest.mark.parametrize("path", [T1, METRICS])
def test_an_answer_is_tagged_with_its_version_and_not_sent_twice(door: Door, version: int, path: str) -> None:
    first = door.get(path)
    assert first.headers["etag"] == f'"{version}"'
    assert "no-cache" in first.headers["cache-control"]
    for tag in (first.headers["etag"], f'"1000", W/{first.headers["etag"]}'):
        again = door.get(path, tag=tag)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert door.get(path, tag='"0"').status_code == 200
    assert_problem(door.get(path, key="", tag=first.headers["etag"]), 401)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 404), ("/api", 404), (T1 + "/x", 404), ("/redoc", 404), (TIMELINE.format("a%00b"), 422),
     (TIMELINE.format("x" * 129), 422), (TIMELINE.format("%20"), 422), (T1 + "?limit=0", 422), (T1 + "?limit=501", 422),
     (T1 + "?limit=NaN", 422), (T1 + "?from=2026-03-01", 422), (T1 + "?from=2026-03-01T00:00:00", 422),
     (T1 + "?from=1772366400", 422), (T1 + "?until=0001-01-01T00:00:00Z", 422), (T1 + "?cursor=x", 400),
     (T1 + "?cursor=" + "x" * 1_001, 422)],
)  # fmt: skip
def test_what_cannot_be_understood_is_named(door: Door, path: str, status: int) -> None:
    assert_problem(door.get(path), status)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_nothing_but_questions_is_taken(door: Door, method: str) -> None:
    answer = door.client.request(method, METRICS, headers={"Authorization": f"Bearer {door.read_key}"})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


def test_the_api_says_what_can_be_asked_and_loads_nothing_from_elsewhere(door: Door) -> None:
    assert door.client.get("/docs").status_code == 404
    described = door.client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/up", "/api/engagement/metrics", TIMELINE.format("{tutor_id}")}
    asked = described["paths"]["/api/engagement/metrics"]["get"]
    assert {"from", "until", "by"} == {one["name"] for one in asked["parameters"]}
    assert {"200", "401", "422", "429", "503"} <= asked["responses"].keys()
    assert asked["security"] == [{"HTTPBearer": []}]


def test_it_says_that_it_is_up_to_everybody(door: Door) -> None:
    assert door.client.get("/up").json() == {"status": "ok"}


def test_before_the_first_publication_it_says_so(api_settings: Settings, operations: Operations) -> None:
    door = Door(api_settings, operations)
    answer = door.get(METRICS)
    assert assert_problem(answer, 503)["title"] == "Nothing published"
    assert answer.headers["retry-after"] == "300"


def test_answers_come_from_what_is_published_and_not_from_what_is_built(
    api_settings: Settings, api_operations: Operations, api_lake: LakeWriter, version: int
) -> None:
    door = Door(api_settings, api_operations)
    before = door.get(T1).json()
    rows = {"core.dim_tutors": [{"tutor_id": "t1"}], "marts.rpt_tutor_timeline": [an_entry(99)]}
    snapshot = build(api_lake, api_settings, rows)
    assert door.get(T1).json() == before
    newer = publish(api_operations, snapshot)
    after = door.get(T1, tag=f'"{version}"').json()
    assert (after["version"], len(after["entries"])) == (newer, 1)
    with api_operations.session() as session:
        row = publications.rollback(session, version, actor="test", now=NOON)
        rolled_back = row.publication_id
        publications.release_hold(session, actor="test", now=NOON)
    again = door.get(T1, tag=f'"{newer}"').json()
    assert again == before | {"version": rolled_back}


def test_readers_of_older_versions_are_let_go(
    api_settings: Settings, api_operations: Operations, version: int
) -> None:
    shelf = Shelf(api_settings, api_operations)
    edition = shelf.current()
    assert shelf.current().reader is edition.reader
    snapshot = edition.reader.snapshot_id
    for older in range(1, KEPT_READERS + 2):
        shelf._reader(snapshot - older)
    assert len(shelf._readers) == KEPT_READERS
    assert edition.ask("select 1 as one", {})["one"][0] == 1, "a request under way still reads"


def test_a_version_from_before_the_mart_says_when_it_comes(
    api_settings: Settings, api_operations: Operations, version: int
) -> None:
    edition = Shelf(api_settings, api_operations).current()
    with pytest.raises(Problem, match="503 Not built yet"):
        edition.ask("select * from marts.fct_never_built", {})
