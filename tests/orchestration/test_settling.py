"""What a state is made for, who its first people are, how it is examined, and the instance that it runs on."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from assets.resources import House
from data.clock import FixedClock
from data.lake.writer import LakeWriter
from data.operations import publications, roster, users
from data.operations.tables import User
from data.settings import PROJECT_ROOT, Settings, get_settings
from orchestration.day import STREAMS, settle_deployment
from orchestration.doctor import examine
from orchestration.environment import INSTANCE_FILE, prepare_environment
from orchestration.people import PEOPLE, SETUP_FILE, settle_people

NOON = datetime(2026, 3, 2, 17, tzinfo=UTC)


def in_state(environment: pytest.MonkeyPatch, folder: Path) -> None:
    environment.setenv("CHALKLINE_STATE", str(folder))
    get_settings.cache_clear()


def test_a_state_is_settled_once_for_its_source(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_state(environment, tmp_path)
    first = settle_deployment("incidents", profile="demo")
    assert (first.source, first.business_time_zone) == ("incidents", "UTC")
    assert first.now == STREAMS["incidents"].now
    get_settings.cache_clear()
    assert settle_deployment("incidents", profile="demo") == first


@pytest.mark.parametrize(("made_for", "asked"), [("world", "flights"), ("flights", "world")])
def test_a_state_refuses_another_source(
    environment: pytest.MonkeyPatch, tmp_path: Path, made_for: str, asked: str
) -> None:
    in_state(environment, tmp_path)
    settle_deployment(made_for, profile="demo")
    with pytest.raises(RuntimeError, match=f"holds {made_for}; choose another CHALKLINE_STATE for {asked}"):
        settle_deployment(asked, profile="demo")


def test_an_unknown_source_is_refused_and_leaves_nothing_behind(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_state(environment, tmp_path)
    with pytest.raises(RuntimeError, match="SOURCE=moon is not known; choose world, incidents, flights"):
        settle_deployment("moon", profile="demo")
    assert list(tmp_path.iterdir()) == []


def test_a_simulated_marketplace_keeps_the_clock_of_the_wall(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_state(environment, tmp_path)
    assert settle_deployment("world", profile="demo").now is None


@pytest.fixture
def tutors(lake: LakeWriter, house: House) -> House:
    lake.connection.execute(
        "insert into lake.raw_marketplace.sessions (session_id, tutor_id) "
        "select 'S-' || n, 'T-' || (n % 10) from range(40) as t(n)"
    )
    (house.settings.state / SETUP_FILE).unlink(missing_ok=True)
    return house


def coaches(house: House) -> dict[str, int | None]:
    with house.operations.session() as session:
        found = roster.coaches_of(session, [f"T-{number}" for number in range(12)])
        return {tutor: coach.user_id for tutor, coach in found.items()}


def test_the_first_people_are_added_and_share_the_tutors(tutors: House) -> None:
    assert settle_people(tutors) == "8 people added, 10 tutors given to coaches"
    given = coaches(tutors)
    assert len(given) == 10
    sizes = sorted(list(given.values()).count(coach) for coach in set(given.values()))
    assert sizes == [2, 2, 3, 3]


def test_one_time_links_are_readable_by_their_owner_only(tutors: House) -> None:
    settle_people(tutors)
    file = tutors.settings.state / SETUP_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    lines = file.read_text().splitlines()
    assert len(lines) == len(PEOPLE)
    assert all("/setup?token=" in line for line in lines)


def test_a_one_time_link_opens_today_though_the_day_is_one_of_another_year(tutors: House) -> None:
    settle_people(House(tutors.settings, FixedClock(datetime(2013, 12, 31, tzinfo=UTC))))
    link = (tutors.settings.state / SETUP_FILE).read_text().split()[-1]
    with tutors.operations.session() as session:
        users.set_password(
            session, token=link.split("=")[1], password="a long enough one", now=datetime.now(UTC)
        )


def test_settling_again_changes_nothing(tutors: House) -> None:
    settle_people(tutors)
    before, links = coaches(tutors), (tutors.settings.state / SETUP_FILE).read_text()
    assert settle_people(tutors) == "0 people added, 0 tutors given to coaches"
    assert coaches(tutors) == before
    assert (tutors.settings.state / SETUP_FILE).read_text() == links


def test_a_new_tutor_gets_a_coach_and_the_others_keep_theirs(tutors: House, lake: LakeWriter) -> None:
    settle_people(tutors)
    before = coaches(tutors)
    lake.connection.execute(
        "insert into lake.raw_marketplace.sessions (session_id, tutor_id) values ('S-x', 'T-11')"
    )
    assert settle_people(tutors) == "0 people added, 1 tutors given to coaches"
    assert {tutor: coach for tutor, coach in coaches(tutors).items() if tutor != "T-11"} == before


def test_nobody_of_the_first_people_has_a_password(tutors: House) -> None:
    settle_people(tutors)
    with tutors.operations.session() as session:
        hashes = session.scalars(sa.select(User.password_hash)).all()
    assert set(hashes) == {None}


@pytest.fixture
def examined(deployed: Settings, house: House) -> House:
    import dagster as dg

    prepare_environment(deployed)
    with dg.DagsterInstance.get() as instance:
        instance.wipe()
    return house


def wrong(house: House) -> dict[str, str]:
    return {finding.what: finding.detail for finding in examine(house) if not finding.is_well}


def test_a_deployment_without_a_publication_is_told_what_to_run(examined: House) -> None:
    assert wrong(examined) == {
        "published version": "RuntimeError: nothing is published; run `make day` or `chalkline run nightly`"
    }


def test_a_healthy_deployment_has_nothing_wrong(examined: House, lake: LakeWriter) -> None:
    lake.connection.execute("create or replace table lake.core.fct_sessions (session_id varchar)")
    with examined.operations.session() as session:
        publications.publish(
            session,
            snapshot_id=lake.snapshot_id(),
            lane="fast",
            as_of_date=date(2026, 3, 2),
            checks={},
            now=NOON,
        )
    found = {finding.what: finding.detail for finding in examine(examined)}
    lake.connection.execute("drop table lake.core.fct_sessions")
    assert found["published version"] == "1 as of 2026-03-02, 0 sessions"
    assert found["mail"].startswith("no Resend key: mail goes to ")
    assert found["landing"].endswith(" messages wait")


def test_a_lane_whose_last_run_failed_is_named(examined: House) -> None:
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        for job, status in (("fast", "SUCCESS"), ("nightly", "FAILURE")):
            instance.add_run(dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus(status)))
        told = wrong(examined)["lanes"]
        instance.wipe()
    assert "the last run failed of nightly (run " in told
    assert "fast" not in told


def test_a_server_that_does_not_answer_is_a_finding_and_no_crash(deployed: Settings, tmp_path: Path) -> None:
    nowhere = Settings(state=tmp_path, database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"))
    told = wrong(House(nowhere, FixedClock(NOON)))
    assert {"Postgres", "lake", "published version"} <= set(told)
    assert "OperationalError" in told["Postgres"]


def test_a_weak_webhook_secret_is_named(deployed: Settings, house: House) -> None:
    weak = house.settings.model_copy(update={"webhook_secrets": SecretStr("short")})
    assert "WeakSecret" in wrong(House(weak, FixedClock(NOON)))["webhook secrets"]


LOOK = """
import json
import dagster as dg
with dg.DagsterInstance.get() as instance:
    runs = instance.get_concurrency_config()
    print(json.dumps({
        "storage": type(instance.run_storage).__name__,
        "events": type(instance.event_log_storage).__name__,
        "coordinator": type(instance.run_coordinator).__name__,
        "runs_at_once": runs.run_queue_config.max_concurrent_runs,
        "per_lane": runs.run_queue_config.tag_concurrency_limits,
        "granularity": runs.pool_config.pool_granularity.value,
        "pool_limit": runs.pool_config.default_pool_limit,
        "monitoring": instance.run_monitoring_settings,
        "retries": [instance.run_retries_enabled, instance.run_retries_max_retries],
        "retries_of_steps": instance.run_retries_retry_on_asset_or_op_failure,
        "telemetry": instance.telemetry_enabled,
    }))
"""


def test_the_instance_file_is_understood_by_this_dagster(deployed: Settings) -> None:
    """A key that Dagster does not know would stop every process of a deployment."""
    prepare_environment(deployed)
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "storage": "PostgresRunStorage",
        "events": "PostgresEventLogStorage",
        "coordinator": "QueuedRunCoordinator",
        "runs_at_once": 3,
        "per_lane": [{"key": "chalkline/lane", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}],
        "granularity": "run",
        "pool_limit": 1,
        "monitoring": {
            "enabled": True,
            "start_timeout_seconds": 180,
            "max_runtime_seconds": 7200,
            "poll_interval_seconds": 30,
            "free_slots_after_run_end_seconds": 30,
        },
        "retries": [True, 1],
        "retries_of_steps": False,
        "telemetry": False,
    }


def test_the_instance_file_is_put_in_place_whole(deployed: Settings) -> None:
    for _ in range(2):
        prepare_environment(deployed)
    home = deployed.state / "dagster"
    assert (home / "dagster.yaml").read_text() == INSTANCE_FILE.read_text()
    assert list(home.glob(".dagster.yaml*")) == []
