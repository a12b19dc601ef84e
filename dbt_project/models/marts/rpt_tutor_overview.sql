-- One row per tutor_id at as_of_to: what a coach needs to know before talking to a tutor.
-- First sessions are those of each tutor and customer; four and more is a success, two and less is poor, three is
-- neither. Below the minimum sample there is no benchmark tier.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast', 'scores']) }}

with
tutors as (select * from {{ ref('dim_tutors') }} where first_seen_date <= {{ as_of_to() }}),

sessions as (
    select
        *,
        {{ as_of_to() }} - session_date as days_ago
    from {{ ref('fct_sessions') }}
    where
        tutor_id is not null
        and session_date
        between {{ as_of_to() }}
        - greatest({{ var('first_session_window_days') }}, {{ var('activity_window_days') }})
        + 1
        and {{ as_of_to() }}
        and scheduled_start_at < {{ as_of_at() }}
),

scores as (
    select * from {{ ref('fct_tutor_scores') }}
    where
        as_of_date between {{ as_of_to() }} - {{ var('score_staleness_days') }} and {{ as_of_to() }}
        and formula_version = 'v1'
    qualify row_number() over (partition by tutor_id, score_code order by as_of_date desc) = 1
),

roster as (
    select
        tutor_id,
        min(coach_email) as coach_email
    from {{ ref('stg_operations__roster') }}
    group by tutor_id
),

episodes as (
    select
        tutor_id,
        count(*) as open_alert_count
    from {{ ref('fct_alert_episodes') }}
    where is_open and tutor_id is not null
    group by tutor_id
),

tiers as (select * from {{ ref('score_tiers') }} where score_code = 'FIRST_SESSION_SUCCESS'),

activity as (
    select
        tutor_id,
        count(*) filter (where days_ago < 7 and status <> 'cancelled') as sessions_7d,
        count(*) filter (where days_ago < 30 and status <> 'cancelled') as sessions_30d,
        count(*) filter (where days_ago < 30 and status = 'completed') as completed_30d,
        count(*) filter (where days_ago < 30 and status = 'tutor_no_show') as no_shows_30d,
        count(*) filter (where days_ago < 30 and rescheduled_by = 'tutor') as tutor_reschedules_30d,
        count(*) filter (where days_ago < 30 and status in ('completed', 'tutor_no_show')) as due_30d,
        sum(duration_hours) filter (where days_ago < 30 and status = 'completed') as hours_30d,
        avg(student_rating) filter (where days_ago < 30) as avg_rating,
        count(student_rating) filter (where days_ago < 30) as rating_count,
        count(*) filter (where days_ago < 30 and status = 'completed' and is_late) as late_count,
        count(*) filter (where days_ago < 30 and status = 'completed' and is_late is not null)
            as lateness_known_count,
        count(*) filter (
            where is_first_for_pair and status = 'completed'
            and student_rating >= {{ parameter('session_success_rating_min') }}
        ) as first_success_count,
        count(*) filter (
            where is_first_for_pair and status = 'completed'
            and student_rating <= {{ parameter('session_poor_rating_max') }}
        ) as first_poor_count,
        count(student_rating) filter (where is_first_for_pair and status = 'completed') as first_rated_count,
        max(scheduled_start_at) filter (where status = 'completed') as last_session_at
    from sessions
    group by tutor_id
),

benchmarked as (
    select
        activity.tutor_id,
        tiers.tier
    from activity
    inner join tiers on activity.first_success_count / activity.first_rated_count >= tiers.lower_bound
    where activity.first_rated_count >= {{ parameter('benchmark_min_sample') }}
    qualify row_number() over (partition by activity.tutor_id order by tiers.lower_bound desc) = 1
),

overview as (
    select
        tutors.tutor_id,
        {{ as_of_to() }} as as_of_date,
        tutors.source,
        roster.coach_email,
        tutors.subjects,
        tutors.is_active,
        tutors.first_seen_date,
        coalesce(activity.sessions_7d, 0)::bigint as sessions_7d,
        coalesce(activity.sessions_30d, 0)::bigint as sessions_30d,
        coalesce(activity.completed_30d, 0)::bigint as completed_30d,
        coalesce(activity.no_shows_30d, 0)::bigint as no_shows_30d,
        coalesce(activity.tutor_reschedules_30d, 0)::bigint as tutor_reschedules_30d,
        round(
            activity.tutor_reschedules_30d / nullif(activity.due_30d + activity.tutor_reschedules_30d, 0), 6
        )::double as reschedule_rate_30d,
        round(coalesce(activity.hours_30d, 0), 6)::double as hours_taught_30d,
        round(activity.first_success_count / nullif(activity.first_rated_count, 0), 6)::double
            as first_session_success_rate,
        coalesce(activity.first_success_count, 0)::bigint as first_session_success_count,
        coalesce(activity.first_poor_count, 0)::bigint as first_session_poor_count,
        coalesce(activity.first_rated_count, 0)::bigint as first_session_rated_count,
        coalesce(benchmarked.tier, 'not_enough_evidence') as benchmark_tier,
        round(activity.avg_rating, 6)::double as avg_rating_30d,
        coalesce(activity.rating_count, 0)::bigint as rating_count_30d,
        round(activity.late_count / nullif(activity.lateness_known_count, 0), 6)::double as late_rate_30d,
        health.score as health_score,
        health.tier as health_tier,
        health.not_scored_reason as health_not_scored_reason,
        risk.score as churn_risk_score,
        risk.tier as churn_risk_tier,
        risk.not_scored_reason as churn_risk_not_scored_reason,
        coalesce(health.as_of_date, risk.as_of_date) as scored_on,
        coalesce(episodes.open_alert_count, 0)::bigint as open_alert_count,
        activity.last_session_at
    from tutors
    left join activity on tutors.tutor_id = activity.tutor_id
    left join benchmarked on tutors.tutor_id = benchmarked.tutor_id
    left join scores as health on tutors.tutor_id = health.tutor_id and health.score_code = 'THS'
    left join scores as risk on tutors.tutor_id = risk.tutor_id and risk.score_code = 'TCRS'
    left join roster on tutors.tutor_id = roster.tutor_id
    left join episodes on tutors.tutor_id = episodes.tutor_id
)

select * from overview
