-- One row per source, kind, field and reason: what is refused, how much of it waits, how often it came and since when.
-- A record waits until it is settled, and again when it comes again after that; given up, it stays so.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

with
refusals as (
    select * from {{ ref('stg_quality__quarantined_records') }}
    where first_seen_at <= {{ as_of_at() }}
),

sightings as (
    select
        *,
        {{ business_date('seen_at') }} as seen_on
    from {{ ref('stg_quality__quarantine_sightings') }}
    where seen_at <= {{ as_of_at() }}
),

settlements as (
    select * from {{ ref('stg_quality__quarantine_settlements') }}
    where settled_at <= {{ as_of_at() }}
),

sightings_counted as (
    select
        quarantine_id,
        count(*) as sighting_count,
        max(seen_at) as last_seen_at
    from sightings
    group by quarantine_id
),

settled as (
    select
        quarantine_id,
        max(settled_at) as settled_at,
        bool_or(settlement = 'discarded') as is_discarded
    from settlements
    group by quarantine_id
),

judged as (
    select
        refusals.*,
        coalesce(seen.sighting_count, 0) as sighting_count,
        coalesce(seen.last_seen_at, refusals.first_seen_at) as last_seen_at,
        case
            when settled.settled_at is null then true
            when settled.is_discarded then false
            else coalesce(seen.last_seen_at > settled.settled_at, false)
        end as is_waiting
    from refusals
    left join sightings_counted as seen on refusals.quarantine_id = seen.quarantine_id
    left join settled on refusals.quarantine_id = settled.quarantine_id
),

affected as (
    select
        refusals.source,
        refusals.kind,
        refusals.field,
        refusals.reason,
        count(distinct sightings.seen_on)::bigint as affected_day_count
    from sightings
    inner join refusals on sightings.quarantine_id = refusals.quarantine_id
    group by all
),

causes as (
    select
        source,
        kind,
        field,
        reason,
        count(*) filter (where is_waiting)::bigint as waiting_count,
        count(*) filter (where not is_waiting)::bigint as settled_count,
        sum(sighting_count)::bigint as sighting_count,
        coalesce(min(record_id) filter (where is_waiting), min(record_id)) as example_record_id,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from judged
    group by source, kind, field, reason
),

quarantine as (
    select
        causes.source,
        causes.kind,
        causes.field,
        causes.reason,
        causes.waiting_count,
        causes.settled_count,
        causes.sighting_count,
        coalesce(days.affected_day_count, 0)::bigint as affected_day_count,
        causes.example_record_id,
        causes.first_seen_at,
        causes.last_seen_at
    from causes
    left join affected as days
        on
            causes.source = days.source
            and causes.kind = days.kind
            and causes.field is not distinct from days.field
            and causes.reason is not distinct from days.reason
    where
        causes.waiting_count > 0
        or causes.last_seen_at >= {{ first_instant_of(as_of_to() ~ " - " ~ var('quality_window_days')) }}
)

select * from quarantine
