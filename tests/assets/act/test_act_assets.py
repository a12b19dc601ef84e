"""Acting as assets: candidates of the published version become episodes, mails and digests, once."""

import dataclasses
from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
import sqlalchemy as sa
from act_builders import (
    NOON,
    TODAY,
    a_condition,
    a_no_show,
    a_person,
    find,
    letters,
    mails,
    make_marts,
    past_the_baseline,
    publish,
    put_candidates,
    put_names,
)

from assets.act.definitions import ACT_ASSETS
from assets.resources import House
from data.clock import FixedClock
from data.lake.writer import LakeWriter
from data.operations import publications
from data.operations.tables import AlertEpisode


def build(house: House, *keys: Sequence[str]) -> dg.ExecuteInProcessResult:
    chosen = dg.AssetSelection.assets(*(list(key) for key in keys))
    result = dg.materialize(
        [dg.AssetSpec(["operations", "publications"]), *ACT_ASSETS],
        selection=chosen,
        resources={"house": house},
        instance=dg.DagsterInstance.ephemeral(),
    )
    assert result.success
    return result


def act(house: House) -> dg.ExecuteInProcessResult:
    return build(house, ("operations", "alert_episodes"), ("operations", "alert_mails"))


def said(result: dg.ExecuteInProcessResult, name: str, about: str) -> object:
    event = result.asset_materializations_for_node(f"operations__{name}")[0]
    return event.metadata[about].value


def told(result: dg.ExecuteInProcessResult) -> list[object]:
    return [said(result, "digests", name) for name in ("queued", "sent")]


def episodes(house: House) -> list[AlertEpisode]:
    with house.operations.session() as session:
        return list(session.scalars(sa.select(AlertEpisode).order_by(AlertEpisode.fingerprint)))


def later(house: House, **by: float) -> House:
    return dataclasses.replace(house, clock=FixedClock(NOON + timedelta(**by)))


def test_candidates_of_the_published_day_become_episodes_and_mail_with_names(
    marts: LakeWriter, acting: House
) -> None:
    past_the_baseline(acting)
    a_person(acting, "nora@example.org", tutors=["T-1"])
    put_names(marts, "tutor", [("T-1", "Dana Whitfield", NOON)])
    make_marts(marts, acting, a_no_show())
    version = publish(acting)
    result = act(acting)
    assert [one.publication_id for one in episodes(acting)] == [version]
    assert (said(result, "alert_mails", "queued"), said(result, "alert_mails", "sent")) == (1, 1)
    letter = letters(acting.settings.outbox_path)[0]
    assert (letter["To"], letter["Subject"]) == ("nora@example.org", "Tutor did not join: Dana Whitfield")


def test_a_rerun_opens_and_sends_nothing(marts: LakeWriter, acting: House) -> None:
    past_the_baseline(acting)
    make_marts(marts, acting, a_no_show())
    publish(acting)
    act(acting)
    again = act(later(acting, minutes=5))
    assert said(again, "alert_episodes", "opened") == 0
    assert said(again, "alert_mails", "sent") == 0
    assert len(letters(acting.settings.outbox_path)) == 1


def test_a_condition_that_ended_closes_its_episode(marts: LakeWriter, acting: House) -> None:
    past_the_baseline(acting)
    make_marts(marts, acting, a_condition())
    publish(acting)
    act(acting)
    put_candidates(marts)
    assert said(act(later(acting, minutes=5)), "alert_episodes", "auto_resolved") == 1
    assert [one.status for one in episodes(acting)] == ["resolved"]


def test_before_anything_is_published_nobody_is_alerted(marts: LakeWriter, acting: House) -> None:
    make_marts(marts, acting, a_no_show())
    result = build(acting, ("operations", "alert_episodes"), ("operations", "digests"))
    assert said(result, "alert_episodes", "reason") == "nothing new is published"
    assert said(result, "digests", "reason") == "nothing new is published"
    assert episodes(acting) == []


def test_while_a_version_is_held_nobody_is_alerted(marts: LakeWriter, acting: House) -> None:
    past_the_baseline(acting)
    make_marts(marts, acting, a_no_show())
    first = publish(acting, snapshot_id=1)
    publish(acting, snapshot_id=2)
    with acting.operations.session() as session:
        publications.rollback(session, first, actor="test", now=NOON)
    act(acting)
    assert episodes(acting) == []


def test_a_backfill_of_older_days_alerts_nobody_to_the_past(marts: LakeWriter, acting: House) -> None:
    past_the_baseline(acting)
    long_ago = TODAY - timedelta(days=30)
    make_marts(marts, acting)
    publish(acting, snapshot_id=1)
    put_candidates(marts, a_condition(), day=long_ago)
    publish(acting, snapshot_id=2, day=long_ago)
    result = build(
        acting, ("operations", "alert_episodes"), ("operations", "alert_mails"), ("operations", "digests")
    )
    assert episodes(acting) == []
    assert mails(acting) == []
    assert mails(acting, "digest") == []
    assert said(result, "digests", "reason") == "nothing new is published"


def test_digests_are_queued_for_each_reader_once_a_day_and_leave_at_their_hour(
    marts: LakeWriter, acting: House
) -> None:
    past_the_baseline(acting)
    a_person(acting, "nora@example.org", tutors=["T-1"])
    put_names(marts, "tutor", [("T-1", "Dana Whitfield", NOON)])
    make_marts(marts, acting)
    marts.connection.execute(
        "insert into lake.marts.fct_daily_kpis values ('2026-03-02', 120, 4.5, 0.05, 0.1)"
    )
    find(acting, a_no_show())
    publish(acting)
    at_two = later(acting, hours=-10)
    assert told(build(at_two, ("operations", "digests"))) == [2, 0]
    at_seven = later(acting, hours=-5)
    assert told(build(at_seven, ("operations", "digests"))) == [0, 2]
    texts = {mail.recipient: mail.text for mail in mails(acting, "digest")}
    assert "Dana Whitfield" in texts["nora@example.org"]
    assert "Sessions today: 120" in texts[acting.settings.operations_mail]


def test_decisions_flow_back_as_full_copies(lake: LakeWriter, acting: House) -> None:
    past_the_baseline(acting)
    a_person(acting, "nora@example.org", tutors=["T-2", "T-1"])
    find(acting, a_no_show(), a_condition())
    for _ in range(2):
        build(acting, ("raw_operations", "alert_episodes"), ("raw_operations", "roster"))
    copied = lake.read(
        "select alert_key, status, snapshot_at from lake.raw_operations.alert_episodes order by 1"
    )
    assert copied.rows() == [
        ("tutor_health_low:tutor:T-1", "open", NOON.replace(tzinfo=None)),
        ("tutor_no_show:session:S-1", "open", NOON.replace(tzinfo=None)),
    ]
    assert lake.read("select coach_email, tutor_id from lake.raw_operations.roster order by 2").rows() == [
        ("nora@example.org", "T-1"),
        ("nora@example.org", "T-2"),
    ]


def test_an_empty_store_leaves_empty_copies(lake: LakeWriter, acting: House) -> None:
    find(acting, a_no_show())
    build(acting, ("raw_operations", "alert_episodes"))
    with acting.operations.engine.begin() as connection:
        connection.execute(sa.text("truncate alert_episodes, roster cascade"))
    build(acting, ("raw_operations", "alert_episodes"), ("raw_operations", "roster"))
    assert lake.read("select * from lake.raw_operations.alert_episodes").is_empty()
