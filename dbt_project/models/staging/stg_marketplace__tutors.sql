-- One row per tutor_id and version_hash: what a feed said about a tutor, as it came in. No personal data.
with
source as (
    select
        *,
        snapshot_id as loaded_snapshot_id
    from {{ source('raw_marketplace', 'tutors') }}
    {{ known_then() }}
),

versions as (
    select
        tutor_id,
        version_hash,
        source,
        batch_id,
        time_zone,
        subjects,
        availability,
        leaves,
        loaded_snapshot_id,
        is_active,
        hired_at,
        updated_at,
        ingested_at
    from source
)

select * from versions
