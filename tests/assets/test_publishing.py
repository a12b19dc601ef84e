"""Publishing as an asset: the pointer moves forward, waits while it is held, and never goes back."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import dagster as dg
import pytest

from assets.publish import build_published, newest_day, verdicts
from assets.resources import House, Turn
from data.lake.writer import LakeWriter
from data.operations import publications
from data.operations.publications import Publication

NOON = datetime(2026, 3, 2, 17, tzinfo=UTC)
TODAY = date(2026, 3, 2)
MART = dg.AssetKey(["marts", "fct_alert_candidates"])


@pytest.fixture
def house(house_at: Callable[[datetime], House]) -> House:
    return house_at(NOON)


def run(house: House, *, day: date = TODAY, lane: str = "fast") -> dict[str, object]:
    done = dg.materialize(
        [dg.AssetSpec(MART), build_published("America/New_York", [MART])],
        selection=dg.AssetSelection.groups("publish"),
        partition_key=day.isoformat(),
        tags={"chalkline/lane": lane},
        resources={"house": house, "turn": Turn()},
        instance=dg.DagsterInstance.ephemeral(),
    )
    assert done.success
    event = done.asset_materializations_for_node("operations__publications")[0]
    return {name: value.value for name, value in event.metadata.items()}


def current(house: House) -> Publication:
    with house.operations.session() as session:
        row = publications.current(session)
        assert row is not None
        return row


def change(lake: LakeWriter) -> int:
    with lake.transaction():
        lake.connection.execute("insert into lake.raw_operations.roster values ('a@b', 'T-1', '2026-03-02')")
    return lake.snapshot_id()


def test_the_pointer_moves_to_the_newest_snapshot(house: House, lake: LakeWriter) -> None:
    first = run(house)
    snapshot = change(lake)
    assert run(house)["version"] == int(str(first["version"])) + 1
    row = current(house)
    assert (row.lake_snapshot_id, row.as_of_date, row.lane) == (snapshot, TODAY, "fast")
    assert row.published_at == NOON


def test_a_version_knows_the_run_that_made_it(house: House) -> None:
    run(house)
    assert len(str(current(house).checks["run_id"])) == 36


def test_a_version_knows_which_checks_it_did_not_pass(house: House) -> None:
    @dg.asset(key=MART)
    def mart() -> None: ...

    @dg.asset_check(asset=MART, name="is_fresh")
    def is_fresh() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)

    @dg.asset_check(asset=MART, name="is_whole", blocking=True)
    def is_whole() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    with dg.DagsterInstance.ephemeral() as instance:
        made = dg.materialize([mart, is_fresh, is_whole], resources={}, instance=instance)
        found = verdicts(instance, made.run_id)
    assert found == {
        "run_id": made.run_id,
        "run_count": 2,
        "failed": ["marts/fct_alert_candidates: is_fresh"],
    }


def test_publishing_the_same_again_adds_no_version(house: House) -> None:
    assert run(house)["version"] == run(house)["version"]


def test_after_a_rollback_the_pointer_is_held_until_it_is_released(house: House, lake: LakeWriter) -> None:
    first = int(str(run(house)["version"]))
    change(lake)
    run(house)
    with house.operations.session() as session:
        back = publications.rollback(session, first, actor="engineer", now=NOON).publication_id
    change(lake)
    outcome = run(house)
    assert "held by engineer" in str(outcome["held"])
    assert current(house).publication_id == back
    with house.operations.session() as session:
        publications.release_hold(session, actor="engineer", now=NOON)
    assert "version" in run(house)


def test_the_pointer_never_goes_back_to_an_older_snapshot(house: House, lake: LakeWriter) -> None:
    with house.operations.session() as session:
        publications.publish(
            session,
            snapshot_id=lake.snapshot_id() + 1_000,
            lane="nightly",
            as_of_date=TODAY,
            checks={},
            now=NOON,
        )
    before = current(house).publication_id
    assert "older than published" in str(run(house)["held"])
    assert current(house).publication_id == before


def test_the_newest_day_is_remembered_by_lane(house: House, lake: LakeWriter) -> None:
    with house.operations.session() as session:
        assert newest_day(session) is None
    run(house, lane="nightly")
    change(lake)
    run(house, day=date(2026, 3, 3))
    change(lake)
    run(house, day=date(2026, 2, 1))
    with house.operations.session() as session:
        assert newest_day(session) == date(2026, 3, 3)
        assert newest_day(session, lane="nightly") == TODAY
        assert newest_day(session, lane="scores") is None
