"""What may enter the warehouse. Pure: contracts and their judge, no storage."""

from data.contracts.records import CONTRACTS, Kind, Record
from data.contracts.validation import Judged, Refusal, judge, version_hash

__all__ = ["CONTRACTS", "Judged", "Kind", "Record", "Refusal", "judge", "version_hash"]
