-- One row per batch_id, field and value_type: how often a field came with a type of value in a batch.
with
source as (select * from {{ source('raw_quality', 'record_shapes') }}),

shapes as (
    select
        batch_id,
        source,
        kind,
        field,
        value_type,
        record_count,
        sampled_count,
        is_understood,
        seen_at
    from source
)

select * from shapes
