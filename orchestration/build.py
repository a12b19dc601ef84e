"""Puts the house together: one function returns fresh definitions; tests and production differ by the house given."""

from collections.abc import Iterator

import dagster as dg

from assets.act.definitions import ACT_ASSETS
from assets.ingest.definitions import INGEST_ASSETS
from assets.ml.demand import build_demand_assets
from assets.publish import build_published
from assets.resources import House, Turn
from assets.transform import build_dbt_assets, dbt_resource, prepare_manifest
from assets.upkeep import lake_upkeep
from orchestration.checks import CHECKS
from orchestration.jobs import build_jobs
from orchestration.schedules import build_schedules
from orchestration.sensors import SENSORS


@dg.resource(required_resource_keys={"house"})
def turn(context: dg.InitResourceContext) -> Iterator[Turn]:
    """Hold the right to build and publish from the first step of a run to its last."""
    house: House = context.resources.house
    with house.alone():
        yield Turn()


def build_definitions(house: House) -> dg.Definitions:
    """Return all assets, checks, jobs, schedules and sensors of a deployment."""
    settings = house.settings
    time_zone = settings.business_time_zone
    warehouse = build_dbt_assets(settings, prepare_manifest(settings))
    marts = [key for key in warehouse.keys if key.path[0] in ("marts", "core", "rulebook")]
    assets = [
        *INGEST_ASSETS,
        warehouse,
        build_demand_assets(time_zone),
        build_published(time_zone, sorted(marts)),
        *ACT_ASSETS,
        lake_upkeep,
    ]
    jobs = build_jobs(warehouse)
    return dg.Definitions(
        assets=assets,
        asset_checks=CHECKS,
        jobs=list(jobs.values()),
        schedules=build_schedules(jobs, time_zone),
        sensors=SENSORS,
        resources={
            "house": house,
            "dbt": dbt_resource(settings),
            "turn": turn,
        },
        executor=dg.in_process_executor,
    )
