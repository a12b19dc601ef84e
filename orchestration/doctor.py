"""Examines a deployment: is everything there, does it open, is it fresh. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from data.postgres import DATABASES, engine_for, open_postgres
from data.secrets import webhook_secrets

if TYPE_CHECKING:
    from assets.resources import House


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    is_well: bool
    detail: str


def examine(house: House) -> list[Finding]:
    """Look at each part in turn; what breaks is a finding, never an exception."""
    looks: dict[str, Callable[[House], str]] = {
        "Postgres": _postgres,
        "lake": _lake,
        "published version": _published,
        "lanes": _lanes,
        "landing": _landing,
        "feeds": _feeds,
        "webhook secrets": _secrets,
        "mail": _mail,
        "erasures": _erasures,
    }
    findings = []
    for what, look in looks.items():
        try:
            findings.append(Finding(what, True, look(house)))
        except Exception as error:
            findings.append(Finding(what, False, f"{type(error).__name__}: {error}"))
    return findings


def _postgres(house: House) -> str:
    postgres = open_postgres(house.settings)
    for database in DATABASES:
        with engine_for(postgres.url(database)).connect() as connection:
            connection.execute(sa.text("select 1"))
    kind = "by DATABASE_URL" if house.settings.database_url else "embedded"
    return f"{kind}; {', '.join(DATABASES)} answer"


def _lake(house: House) -> str:
    with house.lake() as lake:
        sessions = lake.read("select count(*) as n from lake.raw_marketplace.sessions").item()
        return f"snapshot {lake.snapshot_id()}, {sessions:,} session versions"


def _published(house: House) -> str:
    from data.operations import publications
    from orchestration.asking import ask

    with house.operations.session() as session:
        row = publications.current(session)
        hold = publications.hold_in_force(session)
    if row is None:
        raise RuntimeError("nothing is published; run `make day` or `chalkline run nightly`")
    rows = ask(house.settings, "select count(*) from core.fct_sessions").item()
    held = f"; held by {hold.placed_by}" if hold else ""
    return f"{row.publication_id} as of {row.as_of_date}, {rows:,} sessions{held}"


def _lanes(house: House) -> str:
    import dagster as dg

    from orchestration.jobs import LANES

    with dg.DagsterInstance.get() as instance:
        last = {
            lane: runs[0]
            for lane in LANES
            if (runs := instance.get_runs(dg.RunsFilter(job_name=lane), limit=1))
        }
    failed = [f"{lane} (run {run.run_id[:8]})" for lane, run in last.items() if run.is_failure]
    if failed:
        raise RuntimeError(f"the last run failed of {', '.join(failed)}; open it in the Dagster UI")
    return ", ".join(f"{lane} {run.status.value.lower()}" for lane, run in last.items()) or "none has run yet"


def _landing(house: House) -> str:
    return f"{len(house.landing.waiting())} messages wait"


def _feeds(house: House) -> str:
    from orchestration.feeds import feed_states

    states = feed_states(house)
    unwell = [f"{state.kind} {state.trouble}" for state in states if state.trouble is not None]
    if unwell:
        raise RuntimeError(f"{'; '.join(unwell)}; `chalkline feeds list` tells more")
    return f"{sum(state.last is not None for state in states)} of {len(states)} have been read, none held or late"


def _secrets(house: House) -> str:
    return f"{len(webhook_secrets(house.settings))} active"


def _mail(house: House) -> str:
    if house.settings.resend_api_key is None:
        return f"no Resend key: mail goes to {house.settings.outbox_path}"
    return "goes out by Resend"


def _erasures(house: House) -> str:
    from data.operations import erasures

    with house.operations.session() as session:
        waiting = [f"{row.person_kind} {row.person_id}" for row in erasures.unfinished(session)]
    if waiting:
        raise RuntimeError(
            f"begun and not finished: {', '.join(waiting)}; run `chalkline erase` for each again"
        )
    return "none is unfinished"
