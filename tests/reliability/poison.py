"""Poison: ten thousand records by every way in, a thousand of them spoiled.

The spoiled ones wait with the right reason, the others are loaded; after corrections a replay loads those that it
should, and nothing is lost.

    python -m tests.reliability.poison --seed 7 --records 10000 --poisoned 1000
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from pydantic import SecretStr

from assets.ingest.files import import_file
from assets.ingest.mapping import Mapping as FileMapping
from assets.ingest.messages import take_messages
from assets.ingest.pull import FEEDS, pull
from assets.ingest.rails import RailsClient
from assets.ingest.replay import replay
from assets.ingest.unpacking import Limits
from data.clock import FixedClock
from data.contracts import CONTRACTS, KINDS, Correction, Kind
from data.lake.waiting import Scope
from data.lake.writer import LakeWriter, open_writer
from data.landing import Drop, Landing
from data.settings import Settings
from tests.reliability.poisons import IMPORTS, Sent, deliveries
from tests.reliability.record import Verdict, add_keep_option, conclude
from tests.reliability.scratch import scratch_settings

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ZONE = "America/New_York"
PAGE = 500
SAID_IN: dict[Kind, tuple[str, str]] = {
    "sessions": ("pii.sessions", "student_comment"),
    "customers": ("pii.customers", "full_name"),
    "tutors": ("pii.tutors", "full_name"),
    "inbound_calls": ("lake.raw_marketplace.inbound_calls", "reason_code"),
    "reschedules": ("lake.raw_marketplace.reschedules", "reason_code"),
    "engagement_events": ("lake.raw_marketplace.engagement_events", "event_type"),
}
"""Where the hostile texts of each kind must stand afterwards."""


@dataclass
class Findings:
    """What held, by what it is: how many of how many, and the first that did not."""

    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, what: str, expected: Mapping[str, object], found: Mapping[str, object]) -> None:
        """Compare by record: each expected one must be there as expected, and no other."""
        held = sum(1 for name, value in expected.items() if found.get(name) == value)
        strays = [name for name in found if name not in expected]
        self.counts[what] = (max(0, held - len(strays)), len(expected))
        missing = [name for name, value in expected.items() if found.get(name) != value]
        self.wrong += [
            f"{what}: {name}: expected {expected[name]}, found {found.get(name)}" for name in missing[:20]
        ]
        self.wrong += [f"{what}: {name} is there and should not be" for name in strays[:20]]


class Api:
    """Serves pages of records as texts, in order of change: a page may hold what no JSON library would write."""

    def __init__(self, sent: Sequence[Sent]) -> None:
        self._rows: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        for one in sent:
            changed = json.loads(one.text)["updated_at"]
            self._rows[one.kind].append((datetime.fromisoformat(changed), one.text))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        kind = request.url.path.rsplit("/", 1)[-1]
        query = request.url.params
        since = datetime.fromisoformat(query.get("updated_since", "0001-01-01T00:00:00Z"))
        number, size = int(query["page"]), int(query["per_page"])
        wanted = [text for changed, text in sorted(self._rows[kind]) if changed >= since]
        page = wanted[(number - 1) * size : number * size]
        more = {"Link": '<http://rails/next>; rel="next"'} if number * size < len(wanted) else {}
        return httpx.Response(200, content=f'{{"{kind}": [{", ".join(page)}]}}'.encode(), headers=more)


def bring(lake: LakeWriter, settings: Settings, sent: Sequence[Sent]) -> None:
    """Bring everything in by its way."""
    clock = FixedClock(NOW)
    by_way: dict[str, list[Sent]] = defaultdict(list)
    for one in sent:
        by_way[one.way].append(one)
    with RailsClient(settings, clock, transport=httpx.MockTransport(Api(by_way["pull"]))) as client:
        for feed in FEEDS.values():
            pull(lake, client, feed, clock=clock, time_zone=ZONE)
    landing = Landing(settings.landing_path)
    for one in by_way["message"]:
        landing.store(Drop(one.record_id, NOW, message_of(one)))
    take_messages(lake, landing, settings, clock=clock)
    for kind, content in IMPORTS.items():
        file = write_file(
            settings.state / f"{content['name']}.csv", [one for one in by_way["import"] if one.kind == kind]
        )
        import_file(
            lake,
            file,
            FileMapping.model_validate(content),
            clock=clock,
            business_time_zone=ZONE,
            limits=Limits.of(settings),
        )


def message_of(one: Sent) -> bytes:
    """Return a record in the envelope of its webhook."""
    types = {"sessions": "session.completed", "reschedules": "session.rescheduled"}
    of_type = types.get(one.kind, "engagement.event")
    data = f'{{"events": [{one.text}]}}' if of_type == "engagement.event" else one.text
    return f'{{"type": "{of_type}", "timestamp": "{NOW.isoformat()}", "data": {data}}}'.encode()


def write_file(file: Path, sent: Sequence[Sent]) -> Path:
    """Write rows as a CSV."""
    rows = [json.loads(one.text) for one in sent]
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def loaded_ids(lake: LakeWriter) -> dict[str, object]:
    """Return every record that is in the lake, by id: how often."""
    found: Counter[str] = Counter()
    for kind in KINDS:
        key = CONTRACTS[kind].key
        found.update(lake.read(f"select {key} as id from lake.raw_marketplace.{kind}")["id"].to_list())
    return dict(found)


def waiting_reasons(lake: LakeWriter, sent: Sequence[Sent]) -> dict[str, object]:
    """Return field and reason of everything that waits, by the record's own id, wherever in its text that stands."""
    rows = lake.read(
        """
        select texts.record_json, refused.field, refused.reason
        from lake.raw_quality.quarantined_records as refused
        inner join pii.quarantined_records as texts using (quarantine_id)
        left join (
            select quarantine_id, max(settled_at) as settled_at
            from lake.raw_quality.quarantine_settlements group by all
        ) as settled using (quarantine_id)
        where settled.settled_at is null
        """
    )
    poisoned = {one.record_id: one for one in sent if one.poison is not None}
    found: dict[str, object] = {}
    for text, of, reason in rows.iter_rows():
        name = next(_ids_in(text, poisoned), f"unknown record {text[:80]}")
        poison = poisoned[name].poison if name in poisoned else None
        is_right = poison is not None and (of, poison.reason in reason) == (poison.field, True)
        found[name] = "as expected" if is_right and name not in found else f"{of}: {reason}"
    return found


def _ids_in(text: str, poisoned: Mapping[str, Sent]) -> Iterator[str]:
    for word in text.replace('\\"', '"').split('"'):
        if word in poisoned:
            yield word


def said(lake: LakeWriter, sent: Sequence[Sent]) -> tuple[dict[str, object], dict[str, object]]:
    """Return the hostile texts as they were sent and as they stand, by record."""
    expected: dict[str, object] = {one.record_id: one.said for one in sent if one.said is not None}
    found: dict[str, object] = {}
    for kind, (relation, column) in SAID_IN.items():
        rows = lake.read(f"select {CONTRACTS[kind].key} as id, {column} as said from {relation}")
        found |= {name: text for name, text in rows.iter_rows() if name in expected}
    return expected, found


def mends(sent: Sequence[Sent]) -> Callable[[str, Kind], tuple[Correction, ...]]:
    """Return the corrections that mend what can be mended, as the house would give them by feed."""
    in_force: dict[tuple[str, Kind], list[Correction]] = defaultdict(list)
    for one in sent:
        if one.poison is not None and one.poison.mend is not None:
            feed = {"pull": "rails.pull", "message": "rails.webhook"}.get(
                one.way
            ) or f"import.{IMPORTS[one.kind]['name']}"
            if one.poison.mend not in in_force[feed, one.kind]:
                in_force[feed, one.kind].append(one.poison.mend)
    return lambda source, kind: tuple(in_force[source, kind])


def run(*, seed: int, records: int, poisoned: int, say: Callable[[str], None]) -> Verdict:
    """Do all of it and return what was found."""
    sent = deliveries(seed=seed, records=records, poisoned=poisoned)
    findings = Findings()
    with scratch_settings() as bare:
        settings = bare.model_copy(
            update={"rails_page_size": PAGE, "rails_token": SecretStr("x"), "rails_url": "http://rails"}
        )
        with open_writer(settings) as lake:
            bring(lake, settings, sent)
            _judge_arrival(lake, sent, findings)
            _judge_replay(lake, sent, findings)
    for line in findings.wrong[:40]:
        say(line)
    for what, (held, tried) in findings.counts.items():
        say(f"{what}: {held:,} of {tried:,}")
    return _verdict(seed, records, poisoned, sent, findings)


def _judge_arrival(lake: LakeWriter, sent: Sequence[Sent], findings: Findings) -> None:
    good: dict[str, object] = {one.record_id: 1 for one in sent if one.poison is None}
    bad: dict[str, object] = {one.record_id: "as expected" for one in sent if one.poison is not None}
    findings.add("good records loaded, once", good, loaded_ids(lake))
    findings.add(
        "poisoned records waiting, with the right field and reason", bad, waiting_reasons(lake, sent)
    )
    findings.add("hostile texts kept as they came", *said(lake, sent))
    findings.add("batches that add up", *_batches(lake))


def _judge_replay(lake: LakeWriter, sent: Sequence[Sent], findings: Findings) -> None:
    report = replay(
        lake, Scope(), clock=FixedClock(LATER), time_zone=ZONE, corrections=mends(sent), by="poison"
    )
    mended = {one.record_id for one in sent if one.poison is not None and one.poison.mend is not None}
    good = {one.record_id for one in sent if one.poison is None}
    now_there = loaded_ids(lake)
    findings.add(
        "mended records loaded by the replay, and no others",
        dict.fromkeys(mended, 1),
        {name: count for name, count in now_there.items() if name not in good},
    )
    others = {one.record_id for one in sent if one.poison is not None} - mended
    still: dict[str, object] = dict.fromkeys(others, "as expected")
    waiting = waiting_reasons(lake, sent)
    findings.add("the others waiting as before", still, waiting)
    places = Counter([*now_there, *waiting])
    findings.add("records in exactly one place", {one.record_id: 1 for one in sent}, dict(places))
    again = replay(
        lake,
        Scope(),
        clock=FixedClock(LATER + timedelta(hours=1)),
        time_zone=ZONE,
        corrections=mends(sent),
        by="poison",
    )
    findings.add(
        "accounts of two replays that add up",
        {"first": (len(mended) + len(others), len(mended), 0), "second": (len(others), 0, 0)},
        {
            "first": (report.tried, report.loaded, report.duplicate),
            "second": (again.tried, again.loaded, again.duplicate),
        },
    )
    findings.add("batches that add up after the replays", *_batches(lake))


def _batches(lake: LakeWriter) -> tuple[dict[str, object], dict[str, object]]:
    rows = lake.read(
        "select batch_id, read_count = loaded_count + duplicate_count + quarantined_count as adds_up "
        "from lake.raw_quality.ingestion_batches"
    )
    return dict.fromkeys(rows["batch_id"].to_list(), True), dict(rows.iter_rows())


def _verdict(seed: int, records: int, poisoned: int, sent: Sequence[Sent], findings: Findings) -> Verdict:
    sorts: dict[str, tuple[int, bool]] = {}
    for one in sent:
        if one.poison is not None:
            count, can_mend = sorts.get(one.poison.name, (0, False))
            sorts[one.poison.name] = (count + 1, can_mend or one.poison.mend is not None)
    ways = Counter(f"{one.way} of {one.kind}" for one in sent)
    return Verdict(
        name="poison",
        title="Poisoned records, quarantine and replay",
        command=f"python -m tests.reliability.poison --seed {seed} --records {records} --poisoned {poisoned}",
        held=sum(held for held, _ in findings.counts.values()),
        tried=sum(tried for _, tried in findings.counts.values()),
        lines=[
            "| What | Held |",
            "|---|---|",
            *(f"| {what} | {held:,} of {tried:,} |" for what, (held, tried) in findings.counts.items()),
            "",
            "Ways in: "
            + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in ways.items())
            + ".",
            "",
            "Poison: "
            + ", ".join(
                f"{name} {count:,}{' (some mendable)' if can else ''}" for name, (count, can) in sorts.items()
            )
            + ".",
        ],
    )


def main() -> int:
    """Poison a lake of its own. Returns 1 unless all held."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.poison", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--poisoned", type=int, default=1_000)
    add_keep_option(parser)
    arguments = parser.parse_args()
    verdict = run(
        seed=arguments.seed,
        records=arguments.records,
        poisoned=arguments.poisoned,
        say=lambda line: print(line, flush=True),
    )
    return conclude(verdict, keep=arguments.keep)


if __name__ == "__main__":
    raise SystemExit(main())
