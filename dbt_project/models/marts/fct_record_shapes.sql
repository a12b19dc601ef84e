-- One row per source, kind, as_of_date, field and value_type: what the records of a day looked like. The days before are
-- kept as they were, so that a source is compared with its own past at the cost of one day.
{{
    config(
        materialized='incremental', incremental_strategy='replace_days', meta={'replace_days_before': 1},
        tags=['fast']
    )
}}

with
shapes as (
    select
        *,
        {{ business_date('seen_at') }} as as_of_date
    from {{ ref('stg_quality__record_shapes') }}
    -- The hours of yesterday after its last run are today's to count.
    where
        seen_at >= {{ first_instant_of(as_of_from() ~ " - 1") }}
        and seen_at < {{ as_of_end() }}
        and seen_at <= {{ as_of_at() }}
),

batches as (
    select distinct
        source,
        kind,
        as_of_date,
        batch_id,
        sampled_count
    from shapes
),

sampled as (
    select
        source,
        kind,
        as_of_date,
        sum(sampled_count)::bigint as sampled_count
    from batches
    group by source, kind, as_of_date
),

counted as (
    select
        source,
        kind,
        as_of_date,
        field,
        value_type,
        sum(record_count)::bigint as record_count,
        bool_or(is_understood) as is_understood,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at
    from shapes
    group by source, kind, as_of_date, field, value_type
),

daily_shapes as (
    select
        counted.source,
        counted.kind,
        counted.as_of_date,
        counted.field,
        counted.value_type,
        counted.record_count,
        sampled.sampled_count,
        counted.is_understood,
        counted.first_seen_at,
        counted.last_seen_at
    from counted
    inner join sampled
        on
            counted.source = sampled.source
            and counted.kind = sampled.kind
            and counted.as_of_date = sampled.as_of_date
)

select * from daily_shapes
