"""The attacks, in small; and a judge of attacks that lets nothing pass."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from data.operations.store import Operations
from data.settings import Settings
from tests.reliability import attacks as attacking
from tests.reliability.attacks import ATTACKS, a_body, attacks
from tests.reliability.hostile import Target, attack, replay, rotations, run, silence, stamps


@pytest.fixture
def target(operations: Operations, tmp_path: Path) -> Iterator[Target]:
    with silence():
        yield Target(Settings(state=tmp_path), operations)


def test_a_small_attack_gets_nowhere() -> None:
    said: list[str] = []
    verdict = run(seed=7, requests=420, replays=60, say=said.append)
    assert verdict.is_whole, "\n".join(said)
    assert verdict.tried == 420 + 60 + 11 + 8


def test_every_kind_of_attack_differs_from_the_request_that_it_spoils(target: Target) -> None:
    armoury = target.armoury()
    made = list(attacks(armoury, seed=3, count=20 * len(ATTACKS)))
    assert {request.attack for request in made} == ATTACKS.keys()
    again = list(attacks(armoury, seed=3, count=20 * len(ATTACKS)))
    assert made == again, "the seed decides"
    assert made != list(attacks(armoury, seed=4, count=20 * len(ATTACKS)))


def test_an_attack_that_gets_through_is_counted(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        attacking.ATTACKS, "another path", lambda a, n: replace(a.valid(n + 1), path="/api/webhooks")
    )
    found = attack(target, seed=7, count=2 * len(ATTACKS))
    assert found.refused == 0, "one trace spoils it all"
    assert any("was answered 202" in line for line in found.wrong)
    assert any("traces were left" in line for line in found.wrong)


def test_a_request_that_breaks_the_application_is_counted(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> str:
        raise base64.binascii.Error("Incorrect padding")

    monkeypatch.setattr("app.receiver.main.verified_message_id", broken)
    found = attack(target, seed=7, count=len(ATTACKS))
    assert found.statuses[599] > 0
    assert found.refused < len(ATTACKS)


def test_a_receiver_that_forgets_is_found(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.landing.Landing.store", lambda *_: "stored")
    assert replay(target, count=20) == 0


def test_a_clock_that_tolerates_the_future_is_found(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.receiver.signature.TOLERANCE_SECONDS", 301)
    assert not all(stamps(target).values())


def test_a_ring_that_never_looks_again_is_found(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.secrets.SecretRing._refresh", lambda self: None)
    right = rotations(target)
    assert not right["new only"]
    assert not right["retired old"]


def test_the_valid_request_behind_the_attacks_is_taken(target: Target) -> None:
    armoury = target.armoury()
    assert target.post(armoury.signed(a_body(1), "m1")) == 202
    assert target.post(armoury.tracked(attacking.an_event(1))) == 202
    target.clock.instant += timedelta(seconds=10)
    assert target.post(armoury.signed(a_body(1), "m1")) == 200
