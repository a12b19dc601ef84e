-- One row per batch_id: the account of one batch. read_count = loaded + duplicate + quarantined.
with
source as (select * from {{ source('raw_quality', 'ingestion_batches') }}),

replays as (select * from {{ source('raw_quality', 'replays') }}),

batches as (
    select
        batch_id,
        source,
        kind,
        read_count,
        loaded_count,
        duplicate_count,
        quarantined_count,
        batch_id in (select replays.batch_id from replays) as is_replay,
        as_of_date,
        started_at,
        finished_at
    from source
)

select * from batches
