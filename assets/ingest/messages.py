"""Takes webhook messages from the landing into the lake. No Dagster here."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from assets.ingest.arrivals import CorrectionsOf, uncorrected
from assets.ingest.pull import Account
from data.clock import Clock, business_date
from data.contracts import Kind
from data.contracts.messages import read_message
from data.lake.intake import Arrival, take_in
from data.lake.writer import LakeWriter
from data.landing import Landing
from data.postgres import advisory_lock, engine_for, open_postgres
from data.settings import Settings

SOURCE = "rails.webhook"


def take_messages(
    lake: LakeWriter,
    landing: Landing,
    settings: Settings,
    *,
    clock: Clock,
    corrections: CorrectionsOf = uncorrected,
) -> Account:
    """Claim the waiting messages, take them in, then archive them.

    Killed before the archive, the next run claims the same messages again and finds duplicates: nothing is lost,
    nothing is doubled.
    """
    account = Account()
    engine = engine_for(open_postgres(settings).url("lake"))
    with advisory_lock(engine, "landing.take"):
        records: dict[Kind, list[Any]] = defaultdict(list)
        taken: list[str] = []
        for drop in landing.claim():
            message = read_message(drop.body, received_at=drop.received_at)
            for part in message.parts:
                records[part.kind].append(part.record)
            taken.append(drop.message_id)
        now = clock.now()
        today = business_date(now, settings.business_time_zone)
        for kind, group in records.items():
            arrival = Arrival(SOURCE, now, today, corrections(SOURCE, kind))
            account.batches.append(take_in(lake, kind, group, arrival))
        landing.finish(taken)
    return account
