"""Which business days a step builds: the partition of its run, or a range that ends with it."""

from datetime import date

import dagster as dg

FIRST_DAY = "2010-01-01"
"""No history that we take in is older. Moving it later hides days; earlier only lengthens the list of partitions."""

AS_OF_FROM_TAG = "chalkline/as_of_from"
"""First day of a backfill that is one run. Dagster would plan and record each asset once per day of a partition
range, which took four minutes for 400 days before the first step began; the SQL itself took 23 seconds."""


def daily_partitions(time_zone: str) -> dg.DailyPartitionsDefinition:
    """Return the partitions by as_of_date, today included, in the business time zone."""
    return dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone=time_zone, end_offset=1)


def as_of_range(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """Return the first and last as_of_date that a step has to build: one day in a lane, many in a backfill."""
    keys = context.partition_key_range
    first = context.run.tags.get(AS_OF_FROM_TAG, keys.start)
    return date.fromisoformat(first), date.fromisoformat(keys.end)
