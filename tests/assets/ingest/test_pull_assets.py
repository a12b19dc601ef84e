"""What Dagster is told of a pull: what to retry, what not, and how many rows came."""

from collections.abc import Iterator

import dagster as dg
import pytest
import stamina
from pull_builders import CLOCK, KIND, FakeRails, Fault, answering, calls, client_of, stored

from assets.ingest import definitions
from assets.ingest.rails import ATTEMPTS
from assets.resources import House
from data.lake.writer import LakeWriter
from data.settings import Settings

PULLED = next(asset for asset in definitions.INGEST_ASSETS if asset.key.path == ["raw_marketplace", KIND])


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, fault: Fault | None = None
) -> dg.MaterializeResult:
    api = FakeRails(calls(30), dict.fromkeys(range(100), fault) if fault else {})
    monkeypatch.setattr(definitions, "RailsClient", lambda *_: client_of(api))
    house = House(settings, CLOCK)
    result: dg.MaterializeResult = PULLED(dg.build_asset_context(), house=house)  # type: ignore[assignment]
    return result


def test_a_pull_reports_what_it_read_and_what_was_new(
    lake: LakeWriter, state_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(state_settings, monkeypatch)
    assert len(stored(lake)) == 30
    assert result.metadata is not None
    assert result.metadata["loaded"] == dg.MetadataValue.int(30)
    assert result.metadata["dagster/row_count"] == dg.MetadataValue.int(30)


def test_a_wrong_token_fails_the_step_for_good(
    state_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(dg.Failure, match="CHALKLINE_RAILS_TOKEN") as failure:
        run(state_settings, monkeypatch, answering(401))
    assert failure.value.allow_retries is False


def test_an_outage_is_retried_by_the_step(state_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(dg.RetryRequested):
        run(state_settings, monkeypatch, answering(503))


def test_a_long_wait_asked_for_by_the_api_is_left_to_the_next_tick(
    state_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(dg.Failure, match="answered 429") as failure:
        run(state_settings, monkeypatch, answering(429, retry_after="3600"))
    assert failure.value.allow_retries is False
