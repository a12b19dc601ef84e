-- One row per quarantine_id and batch_id: a batch in which a refused record came.
with
source as (select * from {{ source('raw_quality', 'quarantine_sightings') }}),

sightings as (
    select
        quarantine_id,
        batch_id,
        source,
        kind,
        min(seen_at) as seen_at
    from source
    group by quarantine_id, batch_id, source, kind
)

select * from sightings
