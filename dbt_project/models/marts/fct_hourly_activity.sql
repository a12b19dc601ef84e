-- One row per hour_start_at (UTC) of the last weeks: what the marketplace did in each hour, also when that was
-- nothing. Hours that have not begun at the instant of the run are not here.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

with
sessions as (
    select * from {{ ref('fct_sessions') }}
    where
        session_date
        between {{ window_start(as_of_to(), 'activity_history_days') }}
        and {{ as_of_to() }}
        and scheduled_start_at < {{ as_of_at() }}
),

hours as (
    select
        unnest(
            generate_series(
                {{ first_instant_of(as_of_to() ~ ' - ' ~ var('activity_history_days') ~ ' + 1') }},
                {{ as_of_at() }} - interval 1 microsecond,
                interval 1 hour
            )
        ) as hour_start_at
),

sessions_by_hour as (
    select
        date_trunc('hour', scheduled_start_at) as hour_start_at,
        count(*) as requested_sessions,
        count(*) filter (where status = 'completed') as completed_sessions,
        count(*) filter (where status = 'cancelled') as cancelled_sessions,
        count(*) filter (where status = 'tutor_no_show') as tutor_no_shows,
        count(*) filter (where status = 'completed' and is_late) as late_sessions,
        count(student_rating) as rated_sessions,
        avg(student_rating) as avg_student_rating,
        count(distinct tutor_id) filter (where status = 'completed') as active_tutors,
        count(distinct customer_id) filter (where status = 'completed') as active_customers
    from sessions
    group by 1
),

activity as (
    select
        hours.hour_start_at,
        {{ business_date('hours.hour_start_at') }} as session_date,
        {{ hour_of_week('hours.hour_start_at') }} as hour_of_week,
        coalesce(counted.requested_sessions, 0)::bigint as requested_sessions,
        coalesce(counted.completed_sessions, 0)::bigint as completed_sessions,
        coalesce(counted.cancelled_sessions, 0)::bigint as cancelled_sessions,
        coalesce(counted.tutor_no_shows, 0)::bigint as tutor_no_shows,
        coalesce(counted.late_sessions, 0)::bigint as late_sessions,
        coalesce(counted.rated_sessions, 0)::bigint as rated_sessions,
        round(counted.avg_student_rating, 6)::double as avg_student_rating,
        coalesce(counted.active_tutors, 0)::bigint as active_tutors,
        coalesce(counted.active_customers, 0)::bigint as active_customers
    from hours
    left join sessions_by_hour as counted on hours.hour_start_at = counted.hour_start_at
)

select * from activity
