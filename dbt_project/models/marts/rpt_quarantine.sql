-- One row per source, kind, field and reason: what is refused, how often and since when.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

with
refusals as (select * from {{ ref('stg_quality__quarantined_records') }}),

quarantine as (
    select
        source,
        kind,
        field,
        reason,
        count(*)::bigint as record_count,
        min(record_id) as example_record_id,
        min(first_seen_at) as first_seen_at,
        max(first_seen_at) as last_seen_at
    from refusals
    group by source, kind, field, reason
)

select * from quarantine
