-- One row per event_id and version_hash: what somebody did in the apps, as it came in.
with
source as (
    select
        *,
        snapshot_id as loaded_snapshot_id
    from {{ source('raw_marketplace', 'engagement_events') }}
    {{ known_then() }}
),

versions as (
    select
        event_id,
        version_hash,
        actor_id,
        session_id,
        source,
        batch_id,
        actor_type,
        event_type,
        loaded_snapshot_id,
        occurred_at,
        updated_at,
        ingested_at
    from source
)

select * from versions
