"""Tells whoever sent a file what became of it, by mail. Needs no run and no lake: only the operations store."""

from __future__ import annotations

from collections.abc import Sequence

from assets.act.mails import send_due
from assets.ingest.refusals import RefusalGroup
from assets.ingest.report import ImportReport
from assets.resources import House
from data.operations import outbox
from data.operations.outbox import OutboxMessage
from notifications.content import EvidenceLine, Footer, ImportOutcome, RefusalCause
from notifications.message import key_for
from notifications.render import render_import_outcome


def mail_report(house: House, report: ImportReport, addresses: Sequence[str]) -> int:
    """Mail the report of an import to each address, once per import and address, and send at once.

    Returns how many mails are new: the same file imported again in the same way is not told again.
    """
    now = house.clock.now()
    footer = Footer(version=None, published_at=None, time_zone=house.settings.business_time_zone)
    rendered = render_import_outcome(outcome_of(report), footer)
    with house.operations.session() as session:
        new = sum(
            outbox.enqueue(
                session,
                OutboxMessage(
                    idempotency_key=key_for("import", report.import_id, address.lower()),
                    kind="system",
                    recipient=address,
                    subject=rendered.subject,
                    html=rendered.html,
                    text=rendered.text,
                ),
                now=now,
            )
            for address in addresses
        )
    if new:
        send_due(house)
    return new


def outcome_of(report: ImportReport) -> ImportOutcome:
    """Return a report as its mail says it: lines and reasons, and no value of any record."""
    counts = (
        ("Rows in the file", report.file_row_count),
        ("Records read", report.read_count),
        ("Loaded", report.loaded_count),
        ("Already known", report.duplicate_count),
        ("Refused", report.quarantined_count),
    )
    return ImportOutcome(
        file_name=report.file_name,
        what=report.kind.replace("_", " "),
        source=report.source,
        describes=report.describes,
        read_count=report.read_count,
        refused_count=report.quarantined_count,
        counts=tuple(EvidenceLine(label, f"{count:,}") for label, count in counts),
        refusals=tuple(
            RefusalCause(group.field, group.reason, group.count, _where(report, group))
            for group in report.refusals
        ),
        empty_fields=report.empty_fields,
        notes=report.notes,
    )


def _where(report: ImportReport, group: RefusalGroup) -> str:
    shown = ", ".join(f"{report.place} {example.line:,}" for example in group.examples)
    more = group.count - len(group.examples)
    return shown + (f" and {more:,} more" if more else "")
