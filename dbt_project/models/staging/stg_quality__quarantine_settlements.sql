-- One row per quarantine_id, settlement, settled_by and settled_at: how a refused record ended, each time that it did.
with
source as (select * from {{ source('raw_quality', 'quarantine_settlements') }}),

settlements as (
    select
        quarantine_id,
        settlement,
        settled_by,
        settled_at
    from source
    group by quarantine_id, settlement, settled_by, settled_at
)

select * from settlements
