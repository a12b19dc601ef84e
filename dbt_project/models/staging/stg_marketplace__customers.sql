-- One row per customer_id and version_hash: what a feed said about a customer, as it came in. No personal data.
with
source as (
    select
        *,
        snapshot_id as loaded_snapshot_id
    from {{ source('raw_marketplace', 'customers') }}
    {{ known_then() }}
),

versions as (
    select
        customer_id,
        version_hash,
        source,
        batch_id,
        acquisition_channel,
        time_zone,
        goals,
        loaded_snapshot_id,
        is_active,
        signed_up_at,
        updated_at,
        ingested_at
    from source
)

select * from versions
