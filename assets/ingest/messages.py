"""Takes messages from the landing into the lake: webhooks, and what the apps report. No Dagster here."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from assets.ingest.arrivals import CorrectionsOf, uncorrected
from assets.ingest.pull import Account
from data.clock import Clock, business_date
from data.contracts import Kind
from data.contracts.messages import read_message
from data.contracts.personal import blanked
from data.failpoints import failpoint
from data.lake.intake import Arrival, take_in
from data.lake.personal import erased_people
from data.lake.writer import LakeWriter
from data.landing import Landing
from data.postgres import advisory_lock, engine_for, open_postgres
from data.settings import Settings

TAKER = "landing.take"
"""Lock of whoever moves or changes messages of the landing."""


def take_messages(
    lake: LakeWriter,
    landing: Landing,
    settings: Settings,
    *,
    clock: Clock,
    corrections: CorrectionsOf = uncorrected,
) -> Account:
    """Claim the waiting messages, take them in, then archive them. Each row says which feed brought it.

    Killed before the archive, the next run claims the same messages again and finds duplicates: nothing is lost,
    nothing is doubled. What lies in the archive for ever holds nothing personal of people who were erased.
    """
    account = Account()
    engine = engine_for(open_postgres(settings).url("lake"))
    with advisory_lock(engine, TAKER):
        records: dict[tuple[str, Kind], list[Any]] = defaultdict(list)
        taken: list[str] = []
        for drop in landing.claim():
            message = read_message(drop.body, received_at=drop.received_at)
            for part in message.parts:
                records[drop.source, part.kind].append(part.record)
            taken.append(drop.message_id)
        failpoint("messages.claimed")
        now = clock.now()
        today = business_date(now, settings.business_time_zone)
        for (source, kind), group in records.items():
            arrival = Arrival(source, now, today, corrections(source, kind))
            account.batches.append(take_in(lake, kind, group, arrival))
        failpoint("messages.taken_in")
        if erased := erased_people(lake):
            landing.rewrite(lambda body: blanked(body, erased), only=taken)
        landing.finish(taken)
        failpoint("messages.archived")
    return account
