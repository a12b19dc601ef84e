-- One row per source, kind and saved_at: how far a feed had been read.
with
source as (select * from {{ source('raw_quality', 'pull_cursors') }}),

cursors as (
    select
        source,
        kind,
        batch_id,
        max(cursor_at) as cursor_at,
        saved_at
    from source
    group by all
)

select * from cursors
