"""The poison, in small; and a judge of it that lets nothing pass."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.reliability.poison import Findings, run
from tests.reliability.poisons import POISONS, SHARES, deliveries


@pytest.mark.slow
def test_a_small_dose_is_refused_explained_and_mended() -> None:
    said: list[str] = []
    verdict = run(seed=11, records=1_000, poisoned=100, say=said.append)
    assert verdict.is_whole, "\n".join(said)


def test_the_shares_are_whole_and_every_way_and_kind_has_its_poison() -> None:
    assert sum(SHARES.values()) == 100
    assert POISONS.keys() == SHARES.keys()


def test_what_is_sent_has_as_much_poison_as_was_asked_for_and_every_sort_of_it() -> None:
    sent = deliveries(seed=7, records=10_000, poisoned=1_000)
    assert len(sent) == len({one.record_id for one in sent}) == 10_000
    assert sum(one.poison is not None for one in sent) == 1_000
    sorts = {(one.way, one.kind, one.poison.name) for one in sent if one.poison is not None}
    assert sorts == {(*group, poison.name) for group, poisons in POISONS.items() for poison in poisons}
    assert sent == deliveries(seed=7, records=10_000, poisoned=1_000), "the seed decides"
    assert sent != deliveries(seed=8, records=10_000, poisoned=1_000)


def test_poison_changes_what_is_sent() -> None:
    by_group: Counter[str] = Counter()
    for one in deliveries(seed=7, records=2_000, poisoned=200):
        if one.poison is None:
            json.loads(one.text)
        else:
            by_group[one.poison.name] += 1
    assert len(by_group) > 15


def test_the_judge_counts_what_is_missing_what_is_wrong_and_what_is_too_much() -> None:
    findings = Findings()
    findings.add("all", {"a": 1, "b": 1}, {"a": 1, "b": 1})
    findings.add("missing", {"a": 1, "b": 1}, {"a": 1})
    findings.add("twice", {"a": 1, "b": 1}, {"a": 1, "b": 2})
    findings.add("stray", {"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 1})
    assert findings.counts == {"all": (2, 2), "missing": (1, 2), "twice": (1, 2), "stray": (1, 2)}
    assert len(findings.wrong) == 3
