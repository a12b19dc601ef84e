"""Deployment settings. The only reader of the environment.

What belongs here: addresses, paths, ports, secrets, time zone, limits of this deployment.
What does not: anything a coach could argue with (rulebook), model tuning (models_ml/*/config.py), schedules.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Everything that differs between two deployments. Variables are prefixed CHALKLINE_ unless noted."""

    model_config = SettingsConfigDict(
        env_prefix="CHALKLINE_", env_file=PROJECT_ROOT / ".env", extra="ignore", populate_by_name=True
    )

    source: str = "world"  # what this deployment takes in: world, incidents, flights, or a name of your own

    # where state lives
    state: Path = PROJECT_ROOT / "data" / "state"
    database_url: SecretStr | None = Field(default=None, validation_alias=AliasChoices("DATABASE_URL"))
    lake_data_path: str | None = Field(default=None, validation_alias=AliasChoices("LAKE_DATA_PATH"))
    real_data: Path = Field(default=PROJECT_ROOT.parent / "shared" / "data")

    # time
    business_time_zone: str = "America/New_York"
    now: str | None = (
        None  # a fixed instant (ISO 8601) for replays and real history; unset means the wall clock
    )

    # the marketplace's API
    rails_url: str = "http://127.0.0.1:8790"  # empty: this deployment pulls from nowhere
    rails_token: SecretStr = SecretStr("mock-token")
    rails_page_size: int = Field(default=500, ge=1, le=500)
    rails_timeout_seconds: float = Field(default=5.0, gt=0)  # silence after which a request is given up
    rails_body_max_bytes: int = Field(default=64_000_000, ge=1)  # of one answer, once it is unpacked
    # How long a lane gives to one feed; what was read until then stays, and the next run goes on from there.
    fast_pull_seconds: float = Field(default=10.0, gt=0)
    hourly_pull_seconds: float = Field(default=120.0, gt=0)
    nightly_pull_seconds: float = Field(default=600.0, gt=0)

    # doors
    bind: str = "127.0.0.1"
    dashboard_port: int = 8501
    dagster_port: int = 3000
    dagster_code_port: int = 4266  # where webserver and daemon find the definitions; loopback always
    receiver_port: int = 8780
    api_port: int = 8781
    mock_rails_port: int = 8790
    public_url: str = "http://127.0.0.1:8501"
    webhook_secrets: SecretStr | None = None  # comma-separated, newest first; unset: made once, kept in state
    session_secret: SecretStr | None = None  # signs login cookies; unset: made once, kept in state

    # mail
    resend_api_key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("RESEND_API_KEY"))
    mail_from: str = "Chalkline <chalkline@localhost>"
    operations_mail: str = "operations@localhost"

    # set by a worker for the dbt that it starts, which must not outlive it
    worker_pid: int | None = None

    # set by the tests of crashes: name:n:kill, name:n:raise or name:n:enospc (data/failpoints.py)
    failpoint: str | None = None

    # limits
    reader_memory_limit: str = "2GB"
    reader_timeout_seconds: float = 30.0
    writer_memory_limit: str = "8GB"
    threads: int = 2
    key_requests_per_minute: int = Field(default=600, ge=1)  # of one API key at one door
    import_memory_limit: str = "4GB"  # of this, what does not fit is spilled into the state folder
    import_max_bytes: int = Field(default=8_000_000_000, ge=1)  # of a file to import, once it is unpacked
    import_max_columns: int = Field(default=500, ge=1)

    @field_validator("business_time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        ZoneInfo(value)
        return value

    @property
    def lake_path(self) -> str:
        """Folder or object-store prefix of the lake's Parquet files, ending in a slash."""
        return (self.lake_data_path or str(self.state / "lake")).rstrip("/") + "/"

    @property
    def personal_path(self) -> str:
        """Folder or prefix of the personal catalogue's files: beside the lake's, whose upkeep sweeps its own."""
        return self.lake_path.rstrip("/") + "-pii/"

    @property
    def landing_path(self) -> Path:
        """Folder of webhook drops."""
        return self.state / "landing"

    @property
    def outbox_path(self) -> Path:
        """Folder where mail goes while no Resend key is set."""
        return self.state / "outbox"

    @property
    def world_path(self) -> Path:
        """Folder of the simulated marketplace."""
        return self.state / "world"

    @property
    def dbt_project_path(self) -> Path:
        """Folder of the dbt project."""
        return PROJECT_ROOT / "dbt_project"

    @property
    def rulebook_path(self) -> Path:
        """Folder of the rulebook seeds."""
        return self.dbt_project_path / "seeds" / "rulebook"

    @property
    def extension_path(self) -> Path:
        """Folder into which DuckDB's extensions are unpacked from their wheels."""
        return self.state / "duckdb_extensions"


DEPLOYMENT_FILE = "deployment.env"
"""Kept in the state folder: what this state was made for (source, time zone, fixed clock). The environment wins."""


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings of this process, read once: environment, .env, then what the state was made for."""
    state = Settings().state.absolute()
    files = (state / DEPLOYMENT_FILE, PROJECT_ROOT / ".env")
    return Settings(_env_file=files, state=state)  # type: ignore[call-arg]
