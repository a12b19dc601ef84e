-- One row per customer_id: everybody who has a record or was ever named by a session or a call.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

with
versions as (select * from {{ ref('stg_marketplace__customers') }}),

session_versions as (select * from {{ ref('stg_marketplace__sessions') }}),

call_versions as (select * from {{ ref('stg_marketplace__inbound_calls') }}),

records as (
    select * from versions
    qualify row_number() over (partition by customer_id order by {{ version_rank() }} desc) = 1
),

mentions as (
    select
        customer_id,
        scheduled_start_at as mentioned_at,
        source
    from session_versions
    union all
    select
        customer_id,
        called_at as mentioned_at,
        source
    from call_versions
),

customers_named as (
    select
        customer_id,
        min(mentioned_at) as first_mentioned_at,
        min_by(source, (mentioned_at, source)) as source
    from mentions
    where customer_id is not null
    group by customer_id
),

goals_counted as (
    select
        records.customer_id,
        len(records.goals) as goal_count,
        len(list_filter(records.goals, lambda goal: goal.completed_at is not null)) as completed_goal_count
    from records
),

customers as (
    select
        coalesce(records.customer_id, named.customer_id) as customer_id,
        coalesce(records.source, named.source) as source,
        {{ origin_of('coalesce(records.source, named.source)') }} as origin,
        records.acquisition_channel,
        coalesce(records.time_zone, '{{ var("business_time_zone") }}') as time_zone,
        case
            when coalesce(counted.goal_count, 0) = 0 then 'no_goal'
            when counted.completed_goal_count = 0 then 'not_completed'
            when counted.completed_goal_count < counted.goal_count then 'completed_with_new_goal'
            else 'completed_without_new_goal'
        end as goal_status,
        coalesce(records.goals, []) as goals,
        coalesce(counted.goal_count, 0)::bigint as goal_count,
        coalesce(counted.completed_goal_count, 0)::bigint as completed_goal_count,
        coalesce(records.is_active, true) as is_active,
        records.customer_id is not null as has_record,
        records.signed_up_at,
        least(records.signed_up_at, named.first_mentioned_at) as first_seen_at,
        records.updated_at
    from records
    full join customers_named as named on records.customer_id = named.customer_id
    left join goals_counted as counted on records.customer_id = counted.customer_id
)

select * from customers
