-- One row per batch_id: the account of one batch. read_count = loaded + duplicate + quarantined.
with
source as (select * from {{ source('raw_quality', 'ingestion_batches') }}),

batches as (
    select
        batch_id,
        source,
        kind,
        read_count,
        loaded_count,
        duplicate_count,
        quarantined_count,
        as_of_date,
        started_at,
        finished_at
    from source
)

select * from batches
