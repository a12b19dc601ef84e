"""Who an alert is about, in words. Names are joined here, at the door to people's mail, and nowhere earlier."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from data.lake.writer import LakeWriter
from data.operations.tables import AlertEpisode
from notifications.feeds import feed_name


@dataclass(frozen=True)
class Names:
    """Names of tutors and customers by id. An id without a name stays an id."""

    tutors: dict[str, str] = field(default_factory=dict)
    customers: dict[str, str] = field(default_factory=dict)

    def about(self, episode: AlertEpisode) -> tuple[str, str]:
        """Return whom an episode is about, and which kind of thing that is."""
        if episode.entity_type == "customer":
            return self._customer(episode.entity_id), f"Customer {episode.entity_id}"
        if episode.entity_type in ("tutor", "session") and episode.tutor_id:
            detail = f"Tutor {episode.tutor_id}"
            if episode.entity_type == "session":
                detail += f", session {episode.entity_id}"
            return self.tutors.get(episode.tutor_id, episode.tutor_id), detail
        if episode.entity_type == "source":
            return feed_name(episode.entity_id), f"Feed {episode.entity_id}"
        return episode.entity_id, episode.entity_type.capitalize()

    def _customer(self, customer_id: str) -> str:
        return self.customers.get(customer_id, customer_id)


def read_names(lake: LakeWriter, episodes: Iterable[AlertEpisode]) -> Names:
    """Return the newest known names of everybody these episodes are about."""
    episodes = list(episodes)
    tutors = sorted({episode.tutor_id for episode in episodes if episode.tutor_id})
    customers = sorted({episode.entity_id for episode in episodes if episode.entity_type == "customer"})
    return Names(_names_of(lake, "tutor", tutors), _names_of(lake, "customer", customers))


def _names_of(lake: LakeWriter, who: str, ids: list[str]) -> dict[str, str]:
    if not ids:
        return {}
    rows = lake.read(
        f"select {who}_id, arg_max(full_name, ingested_at) from pii.{who}s "
        f"where {who}_id in (select unnest($ids)) and full_name is not null group by 1",
        {"ids": ids},
    )
    return dict(rows.iter_rows())
