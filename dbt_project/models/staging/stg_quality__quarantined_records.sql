-- One row per quarantine_id: a record that was refused, and why. Its text is personal and is not here.
with
source as (select * from {{ source('raw_quality', 'quarantined_records') }}),

refusals as (
    select
        quarantine_id,
        batch_id,
        record_id,
        source,
        kind,
        field,
        reason,
        first_seen_at
    from source
)

select * from refusals
