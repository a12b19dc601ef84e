-- One row per event_date, grouped_by and group_value: what was done in the apps on a day, and by how many. Actors are
-- counted once in each group, so groups of a day do not add up to the day: the day has a row of its own.
-- Only days that a changed event touches or left are rebuilt.
{{
    config(
        materialized='incremental', incremental_strategy='replace_changed_engagement_days', tags=['scores']
    )
}}

with
events as (
    select * from {{ ref('fct_engagement_events') }}
    {% if is_incremental() %}
    where event_date in (select changed.event_date from ({{ changed_engagement_days(this) }}) as changed)
    {% endif %}
),

days as (
    select
        event_date,
        case
            when grouping(actor_type) = 0 then 'actor_type'
            when grouping(event_type) = 0 then 'event_type'
            else 'day'
        end as grouped_by,
        coalesce(actor_type, event_type, 'all') as group_value,
        count(*)::bigint as event_count,
        count(distinct actor_type || ':' || actor_id)::bigint as actor_count,
        max(loaded_snapshot_id)::bigint as loaded_snapshot_id
    from events
    group by grouping sets ((event_date), (event_date, actor_type), (event_date, event_type))
)

select * from days
