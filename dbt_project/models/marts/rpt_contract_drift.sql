-- One row per source, kind, field and change: how the newest records of a feed differ from its habit. new: a field that
-- no contract understands. gone: a field that used to be filled and is not any more. retyped: another type of value.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

{% set feed = ['source', 'kind'] %}

with
-- A file says by its mapping what its columns are: only feeds have habits.
newest_shapes as (
    select * from {{ ref('stg_quality__record_shapes') }}
    where
        source not like 'import.%'
        and seen_at >= {{ first_instant_of(as_of_to() ~ " - " ~ var('drift_told_days')) }}
        and seen_at <= {{ as_of_at() }}
),

daily_shapes as (
    select * from {{ ref('fct_record_shapes') }}
    where
        source not like 'import.%'
        and as_of_date between {{ as_of_to() }} - {{ var('quality_history_days') }} and {{ as_of_to() }}
),

batches_ranked as (
    select
        source,
        kind,
        batch_id,
        seen_at,
        sampled_count,
        sum(sampled_count) over (
            partition by source, kind order by seen_at desc, batch_id asc rows unbounded preceding
        ) - sampled_count as newer_count
    from (
        select distinct
            source,
            kind,
            batch_id,
            seen_at,
            sampled_count
        from newest_shapes
    ) as batches
),

-- The newest batches, until they hold enough records to judge by.
recent_batches as (
    select * from batches_ranked where newer_count < {{ quality_limit('drift_recent_records') }}
),

recent as (
    select
        source,
        kind,
        sum(sampled_count) as recent_count,
        arg_max(batch_id, (seen_at, batch_id)) as last_batch_id,
        max(seen_at) as last_batch_at
    from recent_batches
    group by source, kind
    having recent_count >= {{ quality_limit('drift_recent_records_min') }}
),

-- The habit: what came before the days for which a change is told.
usual as (
    select
        source,
        kind,
        sum(sampled_count) as usual_count
    from (
        select distinct
            source,
            kind,
            as_of_date,
            sampled_count
        from daily_shapes
        where as_of_date < {{ as_of_to() }} - {{ var('drift_told_days') }}
    ) as days
    group by source, kind
    having usual_count >= {{ quality_limit('drift_usual_records_min') }}
),

recent_types as (
    select
        shapes.source,
        shapes.kind,
        shapes.field,
        shapes.value_type,
        sum(shapes.record_count) as record_count
    from newest_shapes as shapes
    inner join recent_batches on shapes.batch_id = recent_batches.batch_id
    group by shapes.source, shapes.kind, shapes.field, shapes.value_type
),

usual_types as (
    select
        source,
        kind,
        field,
        value_type,
        sum(record_count) as record_count
    from daily_shapes
    where as_of_date < {{ as_of_to() }} - {{ var('drift_told_days') }}
    group by source, kind, field, value_type
),

seen as (
    select
        source,
        kind,
        field,
        value_type,
        bool_or(is_understood) as is_understood,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from daily_shapes
    group by source, kind, field, value_type
),

types as (
    select
        seen.*,
        recent.recent_count,
        usual.usual_count,
        recent.last_batch_id,
        recent.last_batch_at,
        coalesce(recent_types.record_count, 0) as recent_type_count,
        coalesce(usual_types.record_count, 0) as usual_type_count
    from seen
    inner join recent on {{ agree('seen', 'recent', feed) }}
    inner join usual on {{ agree('seen', 'usual', feed) }}
    left join recent_types on {{ agree('seen', 'recent_types', feed + ['field', 'value_type']) }}
    left join usual_types on {{ agree('seen', 'usual_types', feed + ['field', 'value_type']) }}
),

fields as (
    select
        source,
        kind,
        field,
        any_value(recent_count) as recent_count,
        any_value(usual_count) as usual_count,
        any_value(last_batch_id) as last_batch_id,
        any_value(last_batch_at) as last_batch_at,
        bool_or(is_understood) as is_understood,
        sum(recent_type_count) as recent_came_count,
        sum(usual_type_count) as usual_came_count,
        coalesce(sum(recent_type_count) filter (where value_type <> 'null'), 0) as recent_filled_count,
        coalesce(sum(usual_type_count) filter (where value_type <> 'null'), 0) as usual_filled_count,
        arg_max(value_type, recent_type_count) filter (
            where value_type <> 'null' and recent_type_count > 0
        ) as value_type,
        arg_max(value_type, usual_type_count) filter (
            where value_type <> 'null' and usual_type_count > 0
        ) as usual_value_type,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) filter (where value_type <> 'null') as last_filled_at
    from types
    group by source, kind, field
),

fields_new as (
    select
        source,
        kind,
        field,
        'new' as change,
        recent_came_count / recent_count as share,
        usual_came_count / usual_count as usual_share,
        value_type,
        null::varchar as usual_value_type,
        is_understood,
        first_seen_at as since_at,
        last_batch_id,
        last_batch_at
    from fields
    where
        not is_understood
        and recent_came_count >= recent_count * {{ quality_limit('drift_new_share_min') }}
        and usual_came_count <= usual_count * {{ quality_limit('drift_known_share_max') }}
),

fields_gone as (
    select
        source,
        kind,
        field,
        'gone' as change,
        recent_filled_count / recent_count as share,
        usual_filled_count / usual_count as usual_share,
        null::varchar as value_type,
        usual_value_type,
        is_understood,
        last_filled_at as since_at,
        last_batch_id,
        last_batch_at
    from fields
    where
        usual_filled_count >= usual_count * {{ quality_limit('drift_gone_usual_share_min') }}
        and recent_filled_count <= recent_count * {{ quality_limit('drift_gone_share_max') }}
),

fields_retyped as (
    select
        types.source,
        types.kind,
        types.field,
        'retyped' as change,
        types.recent_type_count / fields.recent_filled_count as share,
        types.usual_type_count / fields.usual_filled_count as usual_share,
        types.value_type,
        fields.usual_value_type,
        fields.is_understood,
        types.first_seen_at as since_at,
        types.last_batch_id,
        types.last_batch_at
    from types
    inner join fields on {{ agree('types', 'fields', feed + ['field']) }}
    where
        types.value_type <> 'null'
        and fields.recent_filled_count > 0
        and fields.usual_filled_count >= {{ quality_limit('drift_usual_records_min') }}
        and types.recent_type_count
        >= fields.recent_filled_count * {{ quality_limit('drift_retyped_share_min') }}
        and types.usual_type_count <= fields.usual_filled_count * {{ quality_limit('drift_known_share_max') }}
    qualify
        row_number() over (
            partition by types.source, types.kind, types.field
            order by types.recent_type_count desc, types.value_type asc
        ) = 1
),

changes as (
    select * from fields_new
    union all
    select * from fields_gone
    union all
    select * from fields_retyped
),

drift as (
    select
        source,
        kind,
        field,
        change,
        value_type,
        usual_value_type,
        round(share, 6)::double as share,
        round(usual_share, 6)::double as usual_share,
        is_understood,
        last_batch_id,
        since_at,
        last_batch_at
    from changes
)

select * from drift
