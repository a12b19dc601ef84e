"""What Dagster is told of a pull: how it ended and what came. Whatever the source does, the step ends well."""

from collections.abc import Callable
from datetime import timedelta

import dagster as dg
import httpx
import pytest
from pull_builders import CLOCK, KIND, NOW, FakeRails, Fault, answering, calls, client_of, stored

from assets.ingest import definitions, tries
from assets.ingest.budget import Budget
from assets.ingest.rails import RailsClient
from assets.resources import House
from data.clock import Clock
from data.lake.writer import LakeWriter
from data.operations.corrections import release_feed
from data.operations.store import Operations
from data.settings import Settings

PULLED = next(asset for asset in definitions.INGEST_ASSETS if asset.key.path == ["raw_marketplace", KIND])
Api = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def run(
    state_settings: Settings, operations: Operations, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, object]]:
    """Materialize the pull of calls in a lane, and return its metadata."""

    def materialize(
        api: Api, *, lane: str = "fast", settings: Settings = state_settings
    ) -> dict[str, object]:
        budgets: list[float] = []

        def client(_: Settings, __: Clock, *, budget: Budget) -> RailsClient:
            budgets.append(budget.seconds)
            return client_of(api)

        monkeypatch.setattr(tries, "RailsClient", client)

        @dg.asset(deps=[PULLED])
        def what_is_built_of_it() -> None: ...

        result = dg.materialize(
            [PULLED, what_is_built_of_it],
            resources={"house": House(settings, CLOCK)},
            tags={"chalkline/lane": lane},
            instance=dg.DagsterInstance.ephemeral(),
        )
        assert result.asset_materializations_for_node("what_is_built_of_it"), "the lane goes on"
        [pulled] = result.asset_materializations_for_node(PULLED.node_def.name)
        told = {name: value.value for name, value in pulled.metadata.items() if name != "batches"}
        return told | {"seconds": budgets[0] if budgets else None}

    return materialize


def failing(fault: Fault) -> FakeRails:
    return FakeRails(calls(30), dict.fromkeys(range(1_000), fault))


def test_a_pull_reports_what_it_read_and_what_was_new(
    lake: LakeWriter, run: Callable[..., dict[str, object]]
) -> None:
    told = run(FakeRails(calls(30)))
    assert len(stored(lake)) == 30
    assert (told["outcome"], told["loaded"], told["dagster/row_count"]) == ("ok", 30, 30)


@pytest.mark.parametrize(
    ("fault", "outcome", "word"),
    [
        (answering(401), "permanent", "CHALKLINE_RAILS_TOKEN"),
        (answering(405), "permanent", "answered 405"),
        (answering(503), "passing", "answered 503"),
        (answering(429, retry_after="3600"), "passing", "answered 429"),
    ],
)
def test_a_source_that_fails_is_told_of_and_stops_no_lane(
    lake: LakeWriter, run: Callable[..., dict[str, object]], fault: Fault, outcome: str, word: str
) -> None:
    told = run(failing(fault))
    assert told["outcome"] == outcome
    assert word in str(told["reason"])
    assert told["next_try_at"]
    assert stored(lake) == []


def test_a_feed_that_is_held_is_skipped_without_a_question_until_it_is_released(
    lake: LakeWriter, operations: Operations, run: Callable[..., dict[str, object]]
) -> None:
    run(failing(answering(403)))
    api = FakeRails(calls(30))
    told = run(api)
    assert (told["outcome"], len(api.requests)) == ("skipped", 0)
    assert f"chalkline feeds release {KIND}" in str(told["reason"])
    with operations.session() as session:
        release_feed(session, KIND, note="new token", actor="kim@example.org", now=NOW + timedelta(seconds=1))
    assert run(api)["outcome"] == "ok"


@pytest.mark.parametrize(("lane", "seconds"), [("fast", 3.0), ("hourly", 5.0), ("nightly", 7.0), ("", 5.0)])
def test_each_lane_has_its_own_patience(
    lake: LakeWriter,
    state_settings: Settings,
    run: Callable[..., dict[str, object]],
    lane: str,
    seconds: float,
) -> None:
    patience = {"fast_pull_seconds": 3.0, "hourly_pull_seconds": 5.0, "nightly_pull_seconds": 7.0}
    told = run(FakeRails(calls(3)), lane=lane, settings=state_settings.model_copy(update=patience))
    assert told["seconds"] == seconds


def test_the_night_reads_further_back_than_the_day(
    lake: LakeWriter, run: Callable[..., dict[str, object]]
) -> None:
    api = FakeRails(calls(200))
    run(api)
    api.rows["late"] = calls(1)[0] | {"call_id": "late"}
    assert run(api)["loaded"] == 0
    assert run(api, lane="nightly")["loaded"] == 1


def test_a_deployment_without_an_address_pulls_from_nowhere(
    state_settings: Settings, run: Callable[..., dict[str, object]]
) -> None:
    nowhere = state_settings.model_copy(update={"rails_url": ""})
    told = run(FakeRails([]), settings=nowhere)
    assert "CHALKLINE_RAILS_URL is empty" in str(told["skipped"])
