from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from operations_builders import (
    NOON,
    TODAY,
    a_candidate,
    a_rule,
    an_open_episode,
    one_mail_each,
    past_the_baseline,
    see,
)

from data.operations import episodes
from data.operations.store import Operations
from data.operations.tables import AlertEpisode, EpisodeEvent, OutboxRow

EVENT = a_rule("tutor_no_show", title="Tutor did not show up", severity="critical", kind="event")


def all_of(operations: Operations, table: Any) -> list[Any]:
    with operations.session() as session:
        return list(session.scalars(sa.select(table)))


def an_event(entity_id: str = "T-1") -> Any:
    return a_candidate(entity_id, rule_code="tutor_no_show", severity="critical")


def close(operations: Operations, episode: AlertEpisode, how: str, *, hours: float = 1) -> None:
    with operations.session() as session:
        at = NOON + timedelta(hours=hours)
        if how == "resolve":
            episodes.resolve(
                session, episode.episode_id, notes="done", version=episode.version, actor="user:7", now=at
            )
        else:
            episodes.dismiss(
                session, episode.episode_id, reason="no", version=episode.version, actor="user:7", now=at
            )


def test_what_the_first_pass_finds_is_stock_and_not_news(operations: Operations) -> None:
    report = see(operations, [a_candidate("T-1"), a_candidate("T-2")])
    assert report.count("opened") == 2
    assert all(change.episode.is_baseline for change in report.changes)
    assert all_of(operations, OutboxRow) == []


def test_a_first_pass_that_finds_nothing_is_the_baseline_too(operations: Operations) -> None:
    past_the_baseline(operations)
    report = see(operations, [a_candidate()])
    assert not report.changes[0].episode.is_baseline
    assert report.queued == 1


def test_a_rule_that_is_added_later_has_its_own_baseline(operations: Operations) -> None:
    past_the_baseline(operations)
    both = (a_rule(), EVENT)
    report = see(operations, [an_event(), a_candidate()], rules=both)
    assert {c.rule.rule_code: c.episode.is_baseline for c in report.changes} == {
        "tutor_no_show": True,
        "tutor_health_low": False,
    }


def test_a_single_session_is_nobodys_baseline_and_closes_nothing(operations: Operations) -> None:
    an_open_episode(operations)
    report = see(operations, [an_event()], rules=(a_rule(), EVENT), is_partial=True)
    assert [change.kind for change in report.changes] == ["opened"]
    assert not report.changes[0].episode.is_baseline
    following = see(operations, [an_event("T-9"), an_event(), a_candidate()], rules=(a_rule(), EVENT))
    assert [c.episode.is_baseline for c in following.changes] == [True]


def test_the_same_candidates_again_change_nothing(operations: Operations) -> None:
    past_the_baseline(operations)
    found = [a_candidate(f"T-{number}") for number in range(5)]
    see(operations, found)
    before = {(e.episode_id, e.version, e.updated_at) for e in all_of(operations, AlertEpisode)}
    for minutes in range(5, 105, 5):
        report = see(operations, found, now=NOON + timedelta(minutes=minutes))
        assert (report.changes, report.queued, report.unchanged) == ((), 0, 5)
    assert {(e.episode_id, e.version, e.updated_at) for e in all_of(operations, AlertEpisode)} == before
    assert len(all_of(operations, EpisodeEvent)) == 5
    assert len(all_of(operations, OutboxRow)) == 5


def test_new_evidence_updates_the_open_episode_without_making_peoples_version_old(
    operations: Operations,
) -> None:
    opened = an_open_episode(operations)
    report = see(operations, [a_candidate(evidence={"score": 40.0})], now=NOON + timedelta(hours=1))
    (change,) = report.changes
    assert (change.kind, change.episode.episode_id) == ("updated", opened.episode_id)
    assert change.episode.evidence == {"score": 40.0}
    assert change.episode.version == opened.version
    assert report.queued == 0


def test_a_worse_severity_is_told_and_a_milder_one_is_an_update(operations: Operations) -> None:
    an_open_episode(operations)
    worse = see(operations, [a_candidate(severity="critical")])
    assert [(c.kind, c.previous_severity) for c in worse.changes] == [("severity_raised", "high")]
    assert worse.queued == 1
    milder = see(operations, [a_candidate(severity="medium")])
    assert [c.kind for c in milder.changes] == ["updated"]
    assert milder.changes[0].episode.severity == "medium"


def test_a_condition_that_ended_closes_by_itself(operations: Operations) -> None:
    opened = an_open_episode(operations)
    (change,) = see(operations, [], now=NOON + timedelta(hours=2)).changes
    assert (change.kind, change.episode.episode_id) == ("auto_resolved", opened.episode_id)
    assert (change.episode.status, change.episode.resolved_at) == ("resolved", NOON + timedelta(hours=2))


def test_a_rule_that_was_not_evaluated_closes_nothing(operations: Operations) -> None:
    an_open_episode(operations)
    past_the_baseline(operations, EVENT)
    assert see(operations, [], rules=(EVENT,)).changes == ()


def test_a_replay_of_an_older_day_closes_and_overwrites_nothing(operations: Operations) -> None:
    an_open_episode(operations)
    yesterday = TODAY - timedelta(days=1)
    assert see(operations, [], day=yesterday).changes == ()
    assert see(operations, [a_candidate(evidence={"score": 1})], day=yesterday).changes == ()


def test_an_event_never_closes_by_itself(operations: Operations) -> None:
    past_the_baseline(operations, EVENT)
    see(operations, [an_event()], rules=(EVENT,))
    assert see(operations, [], rules=(EVENT,), now=NOON + timedelta(days=9)).changes == ()


@pytest.mark.parametrize("how", ["resolve", "dismiss"])
def test_an_event_that_was_dealt_with_never_opens_again(operations: Operations, how: str) -> None:
    past_the_baseline(operations, EVENT)
    episode = see(operations, [an_event()], rules=(EVENT,)).changes[0].episode
    close(operations, episode, how)
    report = see(operations, [an_event()], rules=(EVENT,), now=NOON + timedelta(days=300))
    assert (report.changes, report.held) == ((), ())


@pytest.mark.parametrize("how", ["resolve", "dismiss"])
@pytest.mark.parametrize(("hours", "opens"), [(24.9, False), (25, True)])
def test_a_condition_opens_a_new_episode_only_after_its_cooldown(
    operations: Operations, how: str, hours: float, opens: bool
) -> None:
    first = an_open_episode(operations)
    close(operations, first, how, hours=1)
    report = see(operations, [a_candidate()], now=NOON + timedelta(hours=hours))
    assert report.held == (() if opens else ("tutor_health_low:tutor:T-1",))
    assert [change.kind for change in report.changes] == (["opened"] if opens else [])
    assert all(change.episode.episode_id != first.episode_id for change in report.changes)


def test_a_flapping_metric_mails_once_in_its_cooldown(operations: Operations) -> None:
    past_the_baseline(operations)
    for run in range(100):
        now = NOON + timedelta(minutes=5 * run)
        see(operations, [a_candidate()] if run % 2 == 0 else [], now=now)
    assert len(all_of(operations, OutboxRow)) == 1


def test_a_snoozed_episode_comes_back_when_its_time_is_up(operations: Operations) -> None:
    episode = an_open_episode(operations)
    until = NOON + timedelta(hours=5)
    with operations.session() as session:
        episodes.snooze(session, episode.episode_id, until=until, version=1, actor="user:7", now=NOON)
    assert see(operations, [a_candidate()], now=NOON + timedelta(hours=4)).changes == ()
    (change,) = see(operations, [a_candidate()], now=until).changes
    assert (change.kind, change.episode.status) == ("reopened", "open")


def test_a_snoozed_episode_that_gets_worse_comes_back_at_once(operations: Operations) -> None:
    episode = an_open_episode(operations)
    with operations.session() as session:
        episodes.snooze(
            session, episode.episode_id, until=NOON + timedelta(days=5), version=1, actor="user:7", now=NOON
        )
    (change,) = see(operations, [a_candidate(severity="critical")]).changes
    assert (change.kind, change.episode.status) == ("severity_raised", "open")


def test_a_failing_composer_leaves_neither_episode_nor_mail(operations: Operations) -> None:
    past_the_baseline(operations)

    def fail(changes: Any) -> Any:
        raise RuntimeError("template is broken")

    with pytest.raises(RuntimeError, match="template"):
        see(operations, [a_candidate()], compose=fail)
    assert all_of(operations, AlertEpisode) == []
    assert see(operations, [a_candidate()]).queued == 1


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([a_candidate(), a_candidate()], "tutor_health_low:tutor:T-1 comes twice"),
        ([a_candidate(rule_code="unknown")], "'unknown'"),
        ([a_candidate(severity="fatal")], "'fatal'"),  # type: ignore[arg-type]
        ([a_candidate(evidence={"score": float("nan")})], "tutor_health_low:tutor:T-1 cannot be stored"),
        ([a_candidate(evidence={"name": "a\0b"})], "NUL"),
    ],
)
def test_a_candidate_that_cannot_be_stored_is_named(operations: Operations, found: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        see(operations, found)


def test_four_observers_at_once_open_each_alert_once(operations: Operations) -> None:
    past_the_baseline(operations)
    found = [a_candidate(f"T-{number}") for number in range(40)]

    def run(offset: int) -> int:
        return see(operations, found[offset:] + found[:offset]).count("opened")

    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(run, [0, 10, 20, 30]))
    assert sum(opened) == 40
    assert len(all_of(operations, AlertEpisode)) == len(all_of(operations, OutboxRow)) == 40


def test_the_database_itself_refuses_a_second_open_episode(operations: Operations) -> None:
    episode = an_open_episode(operations)
    values = {column.name: getattr(episode, column.key) for column in AlertEpisode.__table__.columns}
    values["episode_id"] = sa.func.gen_random_uuid()
    with (
        operations.engine.connect() as connection,
        pytest.raises(sa.exc.IntegrityError, match="open_fingerprint"),
    ):
        connection.execute(sa.insert(AlertEpisode).values(values))


def test_a_storm_is_kept_whole_and_composed_in_one_go(operations: Operations) -> None:
    past_the_baseline(operations)
    passes: list[int] = []

    def compose(changes: Any) -> Any:
        passes.append(len(changes))
        return one_mail_each(changes[:1])

    report = see(operations, [a_candidate(f"T-{n}") for n in range(2000)], compose=compose)
    assert (report.count("opened"), report.queued, passes) == (2000, 1, [2000])
