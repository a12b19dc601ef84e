-- One row per event_id: the newest version of what a tutor or customer did in the apps. Only changed events are
-- rebuilt.
{{
    config(
        materialized='incremental', incremental_strategy='delete+insert', unique_key='event_id',
        tags=['fast']
    )
}}

with
versions_in_scope as ({{ versions_in_scope(ref('stg_marketplace__engagement_events'), 'event_id') }}
),

versions_ranked as (
    select
        *,
        {{ version_rank() }} as version_rank
    from versions_in_scope
),

events as (
    select
        event_id,
        arg_max(actor_type, version_rank) as actor_type,
        arg_max(actor_id, version_rank) as actor_id,
        arg_max_null(session_id, version_rank) as session_id,
        arg_max(source, version_rank) as source,
        arg_max(event_type, version_rank) as event_type,
        max(loaded_snapshot_id)::bigint as loaded_snapshot_id,
        arg_max({{ business_date('occurred_at') }}, version_rank) as event_date,
        min({{ business_date('occurred_at') }}) as first_told_date,
        max({{ business_date('occurred_at') }}) as last_told_date,
        arg_max(occurred_at, version_rank) as occurred_at,
        arg_max(updated_at, version_rank) as updated_at,
        max(ingested_at) as ingested_at
    from versions_ranked
    group by event_id
)

select * from events
