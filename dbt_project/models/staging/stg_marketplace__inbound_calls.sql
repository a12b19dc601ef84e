-- One row per call_id and version_hash: what a feed said about a call to support, as it came in.
with
source as (
    select
        *,
        snapshot_id as loaded_snapshot_id
    from {{ source('raw_marketplace', 'inbound_calls') }}
    {{ known_then() }}
),

versions as (
    select
        call_id,
        version_hash,
        customer_id,
        source,
        batch_id,
        reason_code,
        loaded_snapshot_id,
        called_at,
        updated_at,
        ingested_at
    from source
)

select * from versions
