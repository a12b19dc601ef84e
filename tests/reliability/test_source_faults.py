"""A source that fails in every known way leaves the tables that the truth gives. The long form is the command."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from data.lake.intake import Arrival, take_in
from data.lake.writer import LakeWriter
from data.settings import Settings
from tests.reliability.faults.kinds import KINDS, WORLD_FAULTS
from tests.reliability.faults.run import final_digests, golden, inventions, play, truths_of, unaccounted
from tests.reliability.faults.server import FaultServer, fault_server
from tests.reliability.faults.truth import START, TICK

pytestmark = pytest.mark.slow

TICKS = 4


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with fault_server() as serving:
        yield serving


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_is_survived_and_every_batch_adds_up(
    lake: LakeWriter, server: FaultServer, state_settings: Settings, kind: str
) -> None:
    run = play(lake, server, kind, seed=3, ticks=TICKS, settings=state_settings)
    assert run.wrong == ()
    assert run.played or kind in WORLD_FAULTS


def test_there_are_at_least_eighteen_kinds() -> None:
    assert len(KINDS) >= 18


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        ("delete from lake.raw_marketplace.inbound_calls where call_id = 'call_00007'", "digests"),
        ("update lake.raw_marketplace.sessions set tutor_id = 'x' where session_id = 'ses_00007'", "digests"),
        (
            "update lake.raw_marketplace.inbound_calls set version_hash = 'x' where call_id = 'call_00007'",
            "invented",
        ),
        ("update lake.raw_quality.ingestion_batches set read_count = read_count + 1", "unaccounted"),
        ("delete from lake.raw_marketplace.inbound_calls where call_id = 'call_00007'", "unaccounted"),
    ],
)
def test_the_comparison_sees_what_is_lost_invented_or_unaccounted(
    lake: LakeWriter, damage: str, seen: str
) -> None:
    truths = truths_of("500", 3, ticks=TICKS)
    expected = golden(lake, truths)
    assert not inventions(lake, truths)
    assert not unaccounted(lake)
    lake.connection.execute(damage)
    found = {
        "digests": final_digests(lake, truths) != expected,
        "invented": bool(inventions(lake, truths)),
        "unaccounted": bool(unaccounted(lake)),
    }
    assert found[seen]


def test_what_the_odd_sources_show_cannot_be_found_without_the_night(lake: LakeWriter) -> None:
    """The rows that appear late lie beyond the overlap of any tick: the kind would show nothing otherwise."""
    truth = truths_of("row appears late", 3, ticks=TICKS)["inbound_calls"]
    take_in(lake, "inbound_calls", truth.final(), Arrival("truth", START, START.date()))
    shown = {change.record["call_id"]: change.shown_from for change in truth.changes}
    made = lake.read("select call_id, updated_at from lake.raw_marketplace.inbound_calls").rows()
    late = [one for one, at in made if shown[one].replace(tzinfo=None) - at > 2 * TICK + timedelta(minutes=1)]
    assert len(late) >= 30
