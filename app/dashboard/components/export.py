"""Files to take away. What belongs here: writing CSV so that a spreadsheet runs nothing of it.

What does not: choosing rows, checking roles (actions.record_export).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")


def csv_bytes(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return rows as UTF-8 CSV with a header; all rows have the columns of the first."""
    out = io.StringIO(newline="")
    writer: Any = None
    for row in rows:
        if writer is None:
            writer = csv.writer(out, lineterminator="\r\n")
            writer.writerow([safe(name) for name in row])
        writer.writerow([safe(value) for value in row.values()])
    return ("\ufeff" + out.getvalue()).encode()


def safe(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula. Numbers stay numbers; text gets a quote in front."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    text = str(value).replace("\x00", "")
    return (
        f"'{text}"
        if text.lstrip(" \u00a0\ufeff").startswith(_STARTS_A_FORMULA) or text.startswith(_STARTS_A_FORMULA)
        else text
    )
