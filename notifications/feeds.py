"""How a feed is called, in mails and on pages: "Sessions from the marketplace's API".

What belongs here: words. What does not: how a feed stands (marts.rpt_source_freshness).
"""

from collections.abc import Mapping

SOURCES: Mapping[str, str] = {
    "rails.pull": "the marketplace's API",
    "rails.webhook": "the marketplace's webhooks",
}


def feed_name(feed: str) -> str:
    """Return the words for a feed, named as alerts name it: source and kind, joined by a colon."""
    source, _, kind = feed.partition(":")
    what = kind.replace("_", " ").capitalize() if kind else "Records"
    return f"{what} from {SOURCES.get(source, source)}"
