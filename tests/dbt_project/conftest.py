"""Lakes for the tests of the dbt project. Each lives in a folder with an embedded server of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dbt_project.lake import Lake, open_lake


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    # Not pytest's own folder: that one is closed to the user the embedded server runs as.
    folder = Path(tempfile.mkdtemp(prefix="chalkline-dbt-"))
    folder.chmod(0o755)
    opened = open_lake(folder)
    yield opened
    opened.close()
    shutil.rmtree(folder, ignore_errors=True)
