-- One row per customer_id at as_of_to: what an operator needs to know before calling a customer.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

with
customers as (
    select * from {{ ref('dim_customers') }} where first_seen_at < {{ as_of_at() }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
    where
        customer_id is not null and session_date <= {{ as_of_to() }} and scheduled_start_at < {{ as_of_at() }}
),

calls as (
    select * from {{ ref('fct_inbound_calls') }}
    where
        customer_id is not null
        and call_date
        between {{ window_start(as_of_to(), 'calls_window_days') }}
        and {{ as_of_to() }}
        and called_at < {{ as_of_at() }}
),

scores as (
    select * from {{ ref('fct_customer_scores') }}
    where as_of_date = {{ as_of_to() }} and score_code = 'HEALTH' and formula_version = 'v1'
),

episodes as (
    select
        customer_id,
        count(*) as open_alert_count
    from {{ ref('fct_alert_episodes') }}
    where is_open and customer_id is not null
    group by customer_id
),

activity as (
    select
        customer_id,
        count(*) filter (where status = 'completed') as completed_sessions,
        count(*) filter (
            where status = 'completed' and session_date > {{ as_of_to() }} - {{ var('activity_window_days') }}
        ) as sessions_30d,
        max(scheduled_start_at) filter (where status = 'completed') as last_session_at,
        max(student_rating) filter (where status = 'completed' and is_first_for_customer)
            as first_session_rating
    from sessions
    group by customer_id
),

calls_counted as (
    select
        customer_id,
        count(*) as call_count
    from calls
    group by customer_id
),

score_points as (
    select
        parts.customer_id,
        max(part.value) filter (where part.name = 'first_session') as first_session_points,
        max(part.value) filter (where part.name = 'velocity') as velocity_points,
        max(part.value) filter (where part.name = 'calls') as calls_points,
        max(part.value) filter (where part.name = 'goals') as goals_points,
        max(part.value) filter (where part.name = 'tutor_consistency') as tutor_consistency_points
    from (select
        scores.customer_id,
        unnest(scores.components) as part
    from scores) as parts
    group by parts.customer_id
),

overview as (
    select
        customers.customer_id,
        {{ as_of_to() }} as as_of_date,
        customers.source,
        customers.acquisition_channel,
        customers.goal_status,
        customers.is_active,
        scores.score as health_score,
        scores.tier as health_tier,
        scores.not_scored_reason as health_not_scored_reason,
        score_points.first_session_points::double as first_session_points,
        score_points.velocity_points::double as velocity_points,
        score_points.calls_points::double as calls_points,
        score_points.goals_points::double as goals_points,
        score_points.tutor_consistency_points::double as tutor_consistency_points,
        activity.first_session_rating,
        coalesce(activity.completed_sessions, 0)::bigint as completed_sessions,
        coalesce(activity.sessions_30d, 0)::bigint as sessions_30d,
        coalesce(calls_counted.call_count, 0)::bigint as calls_14d,
        coalesce(episodes.open_alert_count, 0)::bigint as open_alert_count,
        ({{ as_of_to() }} - {{ business_date('activity.last_session_at') }})::bigint
            as days_since_last_session,
        customers.signed_up_at,
        activity.last_session_at
    from customers
    left join scores on customers.customer_id = scores.customer_id
    left join score_points on customers.customer_id = score_points.customer_id
    left join activity on customers.customer_id = activity.customer_id
    left join calls_counted on customers.customer_id = calls_counted.customer_id
    left join episodes on customers.customer_id = episodes.customer_id
)

select * from overview
