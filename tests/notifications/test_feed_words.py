import pytest

from notifications.evidence import evidence_lines, evidence_sentence
from notifications.feeds import feed_name


@pytest.mark.parametrize(
    ("feed", "words"),
    [
        ("rails.pull:sessions", "Sessions from the marketplace's API"),
        ("rails.webhook:inbound_calls", "Inbound calls from the marketplace's webhooks"),
        ("import.flights:sessions", "Sessions from import.flights"),
        ("rails.pull", "Records from the marketplace's API"),
    ],
)
def test_a_feed_is_called_by_what_it_brings_and_from_where(feed: str, words: str) -> None:
    assert feed_name(feed) == words


def test_the_evidence_of_a_failing_feed_begins_with_the_cause() -> None:
    evidence = {
        "is_held": True,
        "last_read_at": "2026-03-02T19:05:00Z",
        "last_reason": "/api/v1/sessions: answered 401; check CHALKLINE_RAILS_TOKEN",
    }
    lines = evidence_lines(evidence, time_zone="America/New_York")
    assert [(line.label, line.value) for line in lines] == [
        ("What went wrong", "/api/v1/sessions: answered 401; check CHALKLINE_RAILS_TOKEN"),
        ("Held until somebody releases it", "yes"),
        ("Last good read", "Mon 2 Mar, 14:05"),
    ]
    assert evidence_sentence(lines).endswith(
        "Held until somebody releases it · Last good read Mon 2 Mar, 14:05"
    )


def test_the_evidence_of_a_silent_feed_tells_the_limit_that_it_passed() -> None:
    evidence = {
        "last_read_at": "2026-03-02T19:05:00Z",
        "last_loaded_at": "2026-03-01T12:00:00Z",
        "late_after_hours": None,
        "silent_after_hours": 26,
    }
    lines = evidence_lines(evidence, time_zone="America/New_York")
    assert [(line.label, line.value) for line in lines] == [
        ("Last good read", "Mon 2 Mar, 14:05"),
        ("Last new record", "Sun 1 Mar, 07:00"),
        ("Silent after", "26 h"),
    ]
