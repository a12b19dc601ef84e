"""What may enter the warehouse. Pure: contracts, corrections and their judge, no storage."""

from data.contracts.corrections import Correction
from data.contracts.records import CONTRACTS, KINDS, Kind, Record
from data.contracts.validation import Judged, Refusal, faults, judge, version_hash

__all__ = [
    "CONTRACTS",
    "KINDS",
    "Correction",
    "Judged",
    "Kind",
    "Record",
    "Refusal",
    "faults",
    "judge",
    "version_hash",
]
