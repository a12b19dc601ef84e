"""The marketplace's own export: flat Parquet files of everything as it stood at an instant."""

from datetime import datetime
from pathlib import Path

import polars as pl

from app.mock_rails.json_shapes import nested_as_json
from app.mock_rails.state import state_at
from app.mock_rails.world.build import KINDS, load_world


def write_dump(world: Path, *, before: datetime, out: Path) -> dict[str, int]:
    """Write one file per kind with the rows last updated before an instant; returns the row counts.

    Columns have the API's names; feedback is flattened, lists are JSON text. Existing files are replaced.
    """
    out.mkdir(parents=True, exist_ok=True)
    counts = {}
    for kind in KINDS:
        frame = load_world(world, kinds=(kind,)).frames[kind]
        state = state_at(kind, frame, before).filter(pl.col("updated_at") < before)
        nested_as_json(state).write_parquet(out / f"{kind}.parquet", compression="zstd", compression_level=1)
        counts[kind] = state.height
    return counts
