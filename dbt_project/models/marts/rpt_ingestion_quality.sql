-- One row per source, kind and as_of_date: what was read and what became of it. is_conserved says that every record
-- read is accounted for.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

with
batches as (
    select * from {{ ref('stg_quality__ingestion_batches') }}
    where as_of_date > {{ as_of_to() }} - {{ var('quality_window_days') }}
),

quality as (
    select
        source,
        kind,
        as_of_date,
        count(*)::bigint as batch_count,
        sum(read_count)::bigint as read_count,
        sum(loaded_count)::bigint as loaded_count,
        sum(duplicate_count)::bigint as duplicate_count,
        sum(quarantined_count)::bigint as quarantined_count,
        coalesce(sum(read_count) filter (where is_replay), 0)::bigint as replayed_count,
        round(
            sum(quarantined_count) filter (where not is_replay)
            / nullif(sum(read_count) filter (where not is_replay), 0), 6
        )::double as quarantined_rate,
        bool_and(read_count = loaded_count + duplicate_count + quarantined_count) as is_conserved,
        max(finished_at) as last_finished_at
    from batches
    group by source, kind, as_of_date
)

select * from quality
