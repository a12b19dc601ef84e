-- One row per source and kind: how old the newest news of a feed is at the instant of the run. Only a feed that is
-- pulled can be late or silent: messages and imports come when they come.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

with
batches as (select * from {{ ref('stg_quality__ingestion_batches') }} where finished_at <= {{ as_of_at() }}),

cursors as (select * from {{ ref('stg_quality__pull_cursors') }} where saved_at <= {{ as_of_at() }}),

limits as (select * from {{ ref('feed_limits') }}),

changes as (
    select
        source,
        'sessions' as kind,
        max(updated_at) as last_changed_at
    from {{ ref('fct_sessions') }}
    group by source
    union all
    select
        source,
        'inbound_calls' as kind,
        max(updated_at) as last_changed_at
    from {{ ref('fct_inbound_calls') }}
    group by source
    union all
    select
        source,
        'tutors' as kind,
        max(updated_at) as last_changed_at
    from {{ ref('dim_tutors') }}
    where has_record
    group by source
    union all
    select
        source,
        'customers' as kind,
        max(updated_at) as last_changed_at
    from {{ ref('dim_customers') }}
    where has_record
    group by source
    union all
    select
        source,
        'engagement_events' as kind,
        max(updated_at) as last_changed_at
    from {{ ref('fct_engagement_events') }}
    group by source
),

ingests as (
    select
        source,
        kind,
        max(finished_at) as last_read_at,
        max(finished_at) filter (where loaded_count > 0) as last_loaded_at,
        arg_max(as_of_date, (finished_at, as_of_date)) as last_as_of_date
    from batches
    group by source, kind
),

cursors_newest as (
    select
        source,
        kind,
        arg_max(cursor_at, (saved_at, cursor_at)) as cursor_at
    from cursors
    group by source, kind
),

freshness as (
    select
        ingests.source,
        ingests.kind,
        {{ as_of_to() }} as as_of_date,
        round(
            date_diff('second', ingests.last_read_at, {{ as_of_at() }}) / 3600.0, 6
        )::double as hours_since_read,
        round(
            date_diff('second', ingests.last_loaded_at, {{ as_of_at() }}) / 3600.0, 6
        )::double as hours_since_loaded,
        round(date_diff('second', changes.last_changed_at, {{ as_of_at() }}) / 3600.0, 6)::double
            as hours_since_change,
        ingests.last_as_of_date,
        changes.last_changed_at,
        ingests.last_read_at,
        ingests.last_loaded_at,
        cursors_newest.cursor_at
    from ingests
    left join changes on ingests.source = changes.source and ingests.kind = changes.kind
    left join cursors_newest on ingests.source = cursors_newest.source and ingests.kind = cursors_newest.kind
),

judged as (
    select
        freshness.*,
        freshness.source = 'rails.pull'
        and coalesce(freshness.hours_since_read > limits.late_after_hours, false) as is_late,
        freshness.source = 'rails.pull'
        and limits.silent_after_hours is not null
        and coalesce(freshness.hours_since_loaded > limits.silent_after_hours, true) as is_silent
    from freshness
    left join limits on freshness.kind = limits.kind
)

select * from judged
