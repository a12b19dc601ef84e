-- One row per reschedule_id and version_hash: what a feed said about a move of a session, as it came in.
with
source as (
    select
        *,
        snapshot_id as loaded_snapshot_id
    from {{ source('raw_marketplace', 'reschedules') }}
    {{ known_then() }}
),

versions as (
    select
        reschedule_id,
        version_hash,
        session_id,
        tutor_id,
        customer_id,
        source,
        batch_id,
        rescheduled_by,
        reason_code,
        loaded_snapshot_id,
        original_start_at,
        new_start_at,
        rescheduled_at,
        updated_at,
        ingested_at
    from source
)

select * from versions
