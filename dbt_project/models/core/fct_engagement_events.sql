-- One row per event_id: the newest version of what a tutor or customer did in the apps.
{{ config(materialized='view', tags=['fast']) }}

with
versions as (select * from {{ ref('stg_marketplace__engagement_events') }}),

events as (
    select
        event_id,
        actor_type,
        actor_id,
        session_id,
        source,
        event_type,
        occurred_at,
        updated_at,
        ingested_at
    from versions
    qualify
        row_number() over (
            partition by event_id order by updated_at desc, ingested_at desc, version_hash desc
        ) = 1
)

select * from events
