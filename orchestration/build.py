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
from orchestration.environment import keep_connection
from orchestration.jobs import build_jobs
from orchestration.schedules import build_schedules
from orchestration.sensors import SENSORS


def of_a_run(house: House) -> dg.ResourceDefinition:
    """Return the house as a resource. Its lake is attached, and Dagster's database reached, once in a run."""

    @dg.resource
    def resource(context: dg.InitResourceContext) -> Iterator[House]:
        # A sensor asks for the house too, every few seconds and with an instance of its own each time.
        if context.instance and context.run:
            keep_connection(context.instance)
        with house.for_a_run() as ours:
            yield ours

    return resource


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
            "house": of_a_run(house),
            "dbt": dbt_resource(settings),
            "turn": turn,
        },
        executor=dg.in_process_executor,
    )
