"""The texts by which a person can be found, and every spelling in which a store of ours may write them.

What belongs here: searching and replacing in texts. What does not: which texts a person has (data.lake.erasure), and
the places where they may stand (data.postgres_texts, data.state_files, orchestration.erasing).
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import polars as pl


def spellings(text: str) -> set[str]:
    """Return a text as it is, as JSON writes it, and as HTML does."""
    return {
        text,
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        html.escape(text),
        html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    }


def longest_first(texts: Iterable[str]) -> tuple[str, ...]:
    """Return texts in the order in which they are replaced, so that a part never hides the whole."""
    return tuple(sorted(set(texts), key=lambda text: (-len(text), text)))


@dataclass(frozen=True)
class Traces:
    """Texts to search for, and what stands in their place afterwards: the identifier.

    own: names and contacts. told: what was said in their sessions, and where it was recorded. Left out and counted:
    shared ones, which stand in somebody else's records too, and short ones, which stand within other words.
    """

    identifier: str
    own: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    shared_count: int = 0
    short_count: int = 0

    @cached_property
    def spelled(self) -> tuple[str, ...]:
        """Every spelling of every text, the longest first."""
        return longest_first(one for text in (*self.own, *self.told) for one in spellings(text))

    def count_in(self, texts: pl.Series) -> int:
        """Return how many of these texts hold any of ours."""
        if not self.spelled:
            return 0
        return int(texts.str.contains_any(list(self.spelled)).sum() or 0)

    def stand_in(self, text: str) -> bool:
        """Tell whether a text holds any of ours."""
        return bool(self.count_in(pl.Series([text.encode("utf-8", "replace").decode()])))

    def replaced_in(self, text: str) -> str:
        """Return a text with the identifier wherever one of ours stood."""
        if not self.stand_in(text):
            return text
        return replaced(text, self.spelled, self.identifier)


def replaced(text: str, spelled: Iterable[str], identifier: str) -> str:
    """Return a text with the identifier in place of each of these, in their order."""
    for one in spelled:
        text = text.replace(one, identifier)
    return text
