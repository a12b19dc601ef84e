-- One row per customer_id, as_of_date, score_code and formula_version: customer health (HEALTH).
-- Every customer seen by that day has a row, also when a component is unknown: then the reason stands in it.
{{ config(materialized='incremental', incremental_strategy='replace_days', tags=['fast']) }}

with
as_of_dates as ({{ as_of_dates() }}
),

customers as (select * from {{ ref('dim_customers') }}),

sessions as (
    select * from {{ ref('fct_sessions') }}
    where customer_id is not null and status = 'completed' and session_date <= {{ as_of_to() }}
),

calls as (
    select *
    from {{ ref('fct_inbound_calls') }}
    where customer_id is not null and call_date <= {{ as_of_to() }}
),

origins as (
    select distinct
        origin,
        reports_ratings,
        reports_calls,
        reports_goals,
        reports_tutors
    from {{ ref('dim_sources') }}
),

customers_in_scope as (
    select
        customers.customer_id,
        customers.origin,
        customers.goals,
        customers.is_active,
        as_of_dates.as_of_date,
        as_of_dates.as_of_at,
        as_of_dates.as_of_date
        - {{ business_date('coalesce(customers.signed_up_at, customers.first_seen_at)') }} + 1 as tenure_days
    from customers
    inner join as_of_dates on customers.first_seen_at < as_of_dates.as_of_at
),

first_sessions as (
    select
        customer_id,
        student_rating,
        scheduled_start_at
    from sessions where is_first_for_customer
),

recent_sessions as (
    select
        sessions.customer_id,
        as_of_dates.as_of_date,
        count(*) as session_count
    from sessions
    inner join as_of_dates
        on
            sessions.session_date
            between {{ window_start('as_of_dates.as_of_date', 'activity_window_days') }}
            and as_of_dates.as_of_date
            and sessions.scheduled_start_at < as_of_dates.as_of_at
    group by sessions.customer_id, as_of_dates.as_of_date
),

recent_calls as (
    select
        calls.customer_id,
        as_of_dates.as_of_date,
        count(*) as call_count
    from calls
    inner join as_of_dates
        on
            calls.call_date
            between {{ window_start('as_of_dates.as_of_date', 'calls_window_days') }}
            and as_of_dates.as_of_date
            and calls.called_at < as_of_dates.as_of_at
    group by calls.customer_id, as_of_dates.as_of_date
),

-- The state after each session holds until the next one.
tutored_states as (
    select
        customer_id,
        top_tutor_sessions_so_far / tutored_sessions_so_far as top_tutor_share,
        tutored_sessions_so_far,
        scheduled_start_at as holds_from,
        lead(scheduled_start_at, 1, timestamp '9999-12-31') over (
            partition by customer_id order by customer_session_number
        ) as holds_until
    from sessions
    where tutored_sessions_so_far is not null
),

consistencies as (
    select
        states.customer_id,
        as_of_dates.as_of_date,
        states.top_tutor_share,
        states.tutored_sessions_so_far
    from tutored_states as states
    inner join as_of_dates
        on states.holds_from < as_of_dates.as_of_at and states.holds_until >= as_of_dates.as_of_at
),

measures as (
    select
        scope.customer_id,
        scope.as_of_date,
        scope.is_active,
        origins.reports_ratings,
        origins.reports_calls,
        origins.reports_goals,
        origins.reports_tutors,
        first_sessions.customer_id is not null as has_first_session,
        first_sessions.student_rating as first_rating,
        coalesce(recent_sessions.session_count, 0) as session_count,
        greatest(1, least(scope.tenure_days, {{ var('activity_window_days') }}) / 7) as active_weeks,
        coalesce(recent_calls.call_count, 0) as call_count,
        len(list_filter(scope.goals, lambda goal: coalesce(goal.set_at < scope.as_of_at, true))) as goals_set,
        len(list_filter(scope.goals, lambda goal: coalesce(goal.completed_at < scope.as_of_at, false)))
            as goals_completed,
        consistencies.top_tutor_share,
        coalesce(consistencies.tutored_sessions_so_far, 0) as tutored_sessions
    from customers_in_scope as scope
    left join origins on scope.origin = origins.origin
    left join first_sessions
        on
            scope.customer_id = first_sessions.customer_id
            and scope.as_of_at > first_sessions.scheduled_start_at
    left join recent_sessions
        on scope.customer_id = recent_sessions.customer_id and scope.as_of_date = recent_sessions.as_of_date
    left join recent_calls
        on scope.customer_id = recent_calls.customer_id and scope.as_of_date = recent_calls.as_of_date
    left join consistencies
        on scope.customer_id = consistencies.customer_id and scope.as_of_date = consistencies.as_of_date
),

measured as (
    select
        customer_id,
        as_of_date,
        'HEALTH' as score_code,
        'v1' as formula_version,
        tutored_sessions as sample_size,
        case when not is_active then 'account is closed' end as not_scored_reason,
        ['first_session', 'velocity', 'calls', 'goals', 'tutor_consistency'] as component_names,
        [
            case
                when first_rating >= {{ parameter('session_success_rating_min') }} then 100.0
                when first_rating is not null then 0.0
            end,
            least(100, 100 * (session_count / active_weeks) / {{ parameter('health_velocity_target') }}),
            case
                when not coalesce(reports_calls, false) then null
                when call_count = 0 then {{ parameter('health_calls_points_0') }}
                when call_count = 1 then {{ parameter('health_calls_points_1') }}
                when call_count = 2 then {{ parameter('health_calls_points_2') }}
                else {{ parameter('health_calls_points_3') }}
            end,
            case
                when goals_set = 0 then null
                when goals_completed = 0 then {{ parameter('health_goals_not_completed') }}
                when goals_completed < goals_set then {{ parameter('health_goals_completed_with_new') }}
                else {{ parameter('health_goals_completed_without_new') }}
            end,
            100 * top_tutor_share
        ] as component_values,
        [
            case
                when first_rating is not null then null
                when not coalesce(reports_ratings, false) then 'source has no ratings'
                when not has_first_session then 'no first session'
                else 'no rated first session'
            end,
            null,
            case when not coalesce(reports_calls, false) then 'source has no calls' end,
            case
                when goals_set > 0 then null
                when not coalesce(reports_goals, false) then 'source has no goals'
                else 'no goal set'
            end,
            case
                when top_tutor_share is not null then null
                when not coalesce(reports_tutors, false) then 'source has no tutors'
                else 'no session with a known tutor'
            end
        ] as missing_reasons
    from measures
),

scores as ({{ combine_components('customer_id', 'measured') }}
)

select * from scores
