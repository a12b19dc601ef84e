import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operations_builders import NOON, a_candidate, an_open_episode, see
from sqlalchemy.orm import Session

from data.operations import audit, episodes, users
from data.operations.episodes import (
    TRANSITIONS,
    Action,
    EpisodeNotFound,
    IllegalTransition,
    VersionConflict,
    allowed_actions,
)
from data.operations.store import Operations
from data.operations.tables import CLOSED, STATUSES, AlertEpisode, EpisodeEvent, Status

LATER = NOON + timedelta(hours=1)
MORE: dict[Action, dict[str, Any]] = {
    "acknowledge": {},
    "start": {},
    "snooze": {"until": NOON + timedelta(days=2)},
    "resolve": {"notes": "We spoke.", "coach_agreed": True},
    "dismiss": {"reason": "On leave."},
    "reopen": {"reason": "It came back."},
}
PATHS: dict[Status, tuple[Action, ...]] = {
    "open": (),
    "acknowledged": ("acknowledge",),
    "in_progress": ("start",),
    "snoozed": ("snooze",),
    "resolved": ("resolve",),
    "dismissed": ("dismiss",),
}


def act(
    session: Session, episode: AlertEpisode, action: Action, *, version: int | None = None
) -> AlertEpisode:
    doing: Callable[..., AlertEpisode] = getattr(episodes, action)
    number = episode.version if version is None else version
    return doing(session, episode.episode_id, version=number, actor="user:7", now=LATER, **MORE[action])


def bring_to(operations: Operations, status: Status) -> AlertEpisode:
    episode = an_open_episode(operations)
    for action in PATHS[status]:
        with operations.session() as session:
            episode = act(session, episode, action)
    return episode


def fetch(operations: Operations, episode_id: uuid.UUID) -> AlertEpisode:
    with operations.session() as session:
        return episodes.episode_of(session, episode_id)


@pytest.mark.parametrize("status", STATUSES)
def test_only_the_moves_in_the_table_are_possible(operations: Operations, status: Status) -> None:
    for action, move in TRANSITIONS.items():
        with operations.session() as session:
            session.execute(sa.text("truncate alert_episodes, alert_baselines cascade"))
        episode = bring_to(operations, status)
        with operations.session() as session:
            if status in move.allowed_from:
                assert act(session, episode, action).status == move.to
            else:
                with pytest.raises(IllegalTransition) as refusal:
                    act(session, episode, action)
                told = str(refusal.value)
                assert str(episode.episode_id) in told
                assert f"from {status} to {move.to}" in told
                assert told.endswith("allowed: " + ", ".join(allowed_actions(status)))


def test_a_refused_move_changes_nothing(operations: Operations) -> None:
    episode = bring_to(operations, "resolved")
    with operations.session() as session, pytest.raises(IllegalTransition):
        act(session, episode, "snooze")
    after = fetch(operations, episode.episode_id)
    assert (after.status, after.version, after.snoozed_until) == ("resolved", episode.version, None)


def test_closing_keeps_what_was_said_and_whether_the_coach_agreed(operations: Operations) -> None:
    closed = bring_to(operations, "resolved")
    assert (closed.resolution, closed.coach_agreed, closed.resolved_at) == ("We spoke.", True, LATER)


def test_reopening_clears_the_resolution_but_history_remembers_it(operations: Operations) -> None:
    closed = bring_to(operations, "resolved")
    with operations.session() as session:
        opened = act(session, closed, "reopen")
    assert (opened.status, opened.resolution, opened.coach_agreed, opened.resolved_at) == (
        "open",
        None,
        None,
        None,
    )
    with operations.session() as session:
        last = episodes.history_of(session, closed.episode_id)[-1]
    assert last.kind == "reopened"
    assert last.details["resolution"] == "We spoke."


def test_an_episode_is_not_reopened_beside_a_newer_one(operations: Operations) -> None:
    closed = bring_to(operations, "resolved")
    see(operations, [a_candidate()], now=LATER + timedelta(days=3))
    with operations.session() as session, pytest.raises(IllegalTransition, match="already open"):
        act(session, closed, "reopen")


def test_dismissing_needs_a_reason(operations: Operations) -> None:
    episode = an_open_episode(operations)
    with operations.session() as session, pytest.raises(ValueError, match="reason"):
        episodes.dismiss(
            session, episode.episode_id, reason="  ", version=episode.version, actor="user:7", now=LATER
        )


def test_snoozing_into_the_past_is_refused(operations: Operations) -> None:
    episode = an_open_episode(operations)
    with operations.session() as session, pytest.raises(ValueError, match="past"):
        episodes.snooze(session, episode.episode_id, until=NOON, version=1, actor="user:7", now=LATER)


def test_acting_on_an_old_version_is_refused(operations: Operations) -> None:
    episode = an_open_episode(operations)
    with operations.session() as session:
        act(session, episode, "acknowledge")
    with operations.session() as session, pytest.raises(VersionConflict, match="acknowledged at version 2"):
        act(session, episode, "start", version=1)


def test_an_unknown_episode_is_named(operations: Operations) -> None:
    nobody = uuid.uuid4()
    with operations.session() as session, pytest.raises(EpisodeNotFound, match=str(nobody)):
        episodes.acknowledge(session, nobody, version=1, actor="user:7", now=LATER)


def test_an_episode_is_assigned_to_active_people_only(operations: Operations) -> None:
    episode = an_open_episode(operations)
    with operations.session() as session:
        user, _ = users.create_user(
            session, email="c@example.org", name="C", role="coach", actor="user:1", now=NOON
        )
        given = episodes.assign(
            session, episode.episode_id, owner_id=user.user_id, version=1, actor="user:1", now=LATER
        )
        assert (given.owner_id, given.version) == (user.user_id, 2)
        with pytest.raises(ValueError, match="user 99"):
            episodes.assign(session, episode.episode_id, owner_id=99, version=2, actor="user:1", now=LATER)


def test_a_closed_episode_is_not_assigned(operations: Operations) -> None:
    closed = bring_to(operations, "dismissed")
    with operations.session() as session, pytest.raises(IllegalTransition, match="allowed: reopen"):
        episodes.assign(
            session, closed.episode_id, owner_id=None, version=closed.version, actor="user:1", now=LATER
        )


def test_a_note_is_kept_and_makes_nobodys_version_old(operations: Operations) -> None:
    episode = an_open_episode(operations)
    with operations.session() as session:
        episodes.add_note(session, episode.episode_id, text="Left a message.", actor="user:7", now=LATER)
    assert fetch(operations, episode.episode_id).version == episode.version
    with operations.session() as session:
        assert episodes.history_of(session, episode.episode_id)[-1].details == {"text": "Left a message."}


def test_every_decision_is_audited(operations: Operations) -> None:
    episode = bring_to(operations, "resolved")
    with operations.session() as session:
        rows = audit.entries_about(session, f"episode:{episode.episode_id}")
    assert [(row.action, row.actor) for row in rows] == [("episode.resolved", "user:7")]


def test_a_roster_limits_the_list_and_an_empty_one_answers_nothing(operations: Operations) -> None:
    an_open_episode(operations, "T-1")
    see(operations, [a_candidate("T-1"), a_candidate("T-2", severity="critical")])
    with operations.session() as session:
        assert [e.entity_id for e in episodes.list_episodes(session)] == ["T-2", "T-1"]
        assert [e.entity_id for e in episodes.list_episodes(session, tutor_ids=["T-1"])] == ["T-1"]
        assert list(episodes.list_episodes(session, tutor_ids=[])) == []
        assert [e.entity_id for e in episodes.list_episodes(session, severities=["critical"])] == ["T-2"]
        assert list(episodes.list_episodes(session, customer_id="C-none")) == []
        assert episodes.count_by_status(session)["open"] == 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(st.tuples(st.sampled_from(sorted(TRANSITIONS)), st.booleans()), min_size=1, max_size=12)
)
def test_any_history_stays_legal(operations: Operations, moves: list[tuple[Action, bool]]) -> None:
    with operations.session() as session:
        session.execute(sa.text("truncate alert_episodes, alert_baselines cascade"))
    episode = an_open_episode(operations)
    status: Status = "open"
    version, done = 1, 0
    for action, is_stale in moves:
        with operations.session() as session:
            if is_stale:
                with pytest.raises(VersionConflict):
                    act(session, episode, action, version=version - 1)
            elif status in TRANSITIONS[action].allowed_from:
                act(session, episode, action, version=version)
                status, version, done = TRANSITIONS[action].to, version + 1, done + 1
            else:
                with pytest.raises(IllegalTransition):
                    act(session, episode, action, version=version)
    after = fetch(operations, episode.episode_id)
    assert (after.status, after.version) == (status, version)
    assert (after.resolved_at is not None) == (status in CLOSED)
    with operations.session() as session:
        assert len(episodes.history_of(session, episode.episode_id)) == done + 1
        assert audit.verify_chain(session).is_intact


def test_of_eight_people_acting_at_once_exactly_one_wins(operations: Operations) -> None:
    episode = an_open_episode(operations)

    def try_it(number: int) -> bool:
        try:
            with operations.session() as session:
                episodes.resolve(
                    session,
                    episode.episode_id,
                    notes=str(number),
                    version=1,
                    actor=f"user:{number}",
                    now=LATER,
                )
        except VersionConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        wins = list(pool.map(try_it, range(8)))
    assert sum(wins) == 1
    assert fetch(operations, episode.episode_id).resolution == str(wins.index(True))
    with operations.session() as session:
        closings = session.scalar(
            sa.select(sa.func.count()).select_from(EpisodeEvent).where(EpisodeEvent.kind == "resolved")
        )
    assert closings == 1
