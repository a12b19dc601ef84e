-- One row per as_of_date: the tiles of the overview, as they stood at the instant of the run.
{{ config(materialized='incremental', incremental_strategy='replace_days', tags=['fast']) }}

with
as_of_dates as ({{ as_of_dates() }}
),

-- Every window below ends with as_of_date, so this is all that any of them can reach.
sessions as (
    select * from {{ ref('fct_sessions') }}
    where
        session_date
        between {{ as_of_from() }}
        - greatest(7 * {{ var('baseline_weeks') }}, {{ var('rating_window_days') }})
        and {{ as_of_to() }}
),

supply_demand as (select * from {{ ref('fct_supply_demand') }}),

episodes as (select * from {{ ref('fct_alert_episodes') }}),

targets as (select * from {{ ref('kpi_targets') }}),

sessions_today as (
    select
        as_of_dates.as_of_date,
        count(sessions.session_id) as session_count,
        count(*) filter (where sessions.status = 'completed') as completed_count,
        count(*) filter (
            where sessions.scheduled_start_at <= as_of_dates.as_of_at
            and sessions.ended_at > as_of_dates.as_of_at
        ) as running_count,
        sum(sessions.duration_hours) filter (where sessions.status = 'completed') as hours_taught
    from as_of_dates
    left join sessions
        on
            as_of_dates.as_of_date = sessions.session_date
            and sessions.status <> 'cancelled'
            and as_of_dates.as_of_at > sessions.scheduled_start_at
    group by as_of_dates.as_of_date
),

history as (select min(session_date) as began_on from {{ ref('fct_sessions') }}),

-- The same weekday of earlier weeks, up to the same time of day. A day of the history without sessions counts as none.
usual_days as (
    select
        as_of_dates.as_of_date,
        weeks.week_number,
        count(sessions.session_id) as session_count
    from as_of_dates
    cross join (select unnest(range(1, {{ var('baseline_weeks') }} + 1)) as week_number) as weeks
    inner join history on history.began_on <= as_of_dates.as_of_date - 7 * weeks.week_number::integer
    left join sessions
        on
            sessions.session_date = as_of_dates.as_of_date - 7 * weeks.week_number::integer
            and sessions.status <> 'cancelled'
            and {{ business_time('sessions.scheduled_start_at') }}
            < {{ business_time('as_of_dates.as_of_at') }} - to_days(7 * weeks.week_number::integer)
    group by as_of_dates.as_of_date, weeks.week_number
),

usual as (
    select
        as_of_date,
        avg(session_count) as usual_sessions,
        count(*) as usual_weeks
    from usual_days
    group by as_of_date
),

recent as (
    select
        as_of_dates.as_of_date,
        avg(sessions.student_rating) as mean_rating,
        count(sessions.student_rating) as rating_count,
        count(*) filter (where sessions.student_rating >= {{ parameter('session_success_rating_min') }})
            as satisfied_count,
        count(*) filter (where sessions.status = 'tutor_no_show') as no_show_count,
        count(*) filter (
            where sessions.reports_attendance and sessions.status not in ('cancelled', 'scheduled')
        )
            as attendance_known_count,
        count(*) filter (where sessions.rescheduled_by = 'tutor') as tutor_reschedule_count,
        count(*) filter (where sessions.status in ('completed', 'tutor_no_show')) as due_count,
        count(*) filter (where sessions.is_late and sessions.status = 'completed') as late_count,
        count(*) filter (where sessions.is_late is not null and sessions.status = 'completed')
            as lateness_known_count
    from as_of_dates
    inner join sessions
        on
            sessions.session_date
            between {{ window_start('as_of_dates.as_of_date', 'rating_window_days') }}
            and as_of_dates.as_of_date
            and as_of_dates.as_of_at > sessions.scheduled_start_at
    group by as_of_dates.as_of_date
),

-- The newest forecast made by that day speaks for the 24 hours that follow the instant.
next_day as (
    select
        ahead.as_of_date,
        sum(ahead.supply_hours) as supply_hours,
        sum(ahead.demand_hours) as demand_hours,
        sum(ahead.expected_unmet_sessions) as unmet_sessions
    from (
        select
            supply_demand.*,
            as_of_dates.as_of_date,
            as_of_dates.as_of_at
        from supply_demand
        inner join as_of_dates on supply_demand.forecast_origin_date <= as_of_dates.as_of_date
        qualify
            supply_demand.forecast_origin_date
            = max(supply_demand.forecast_origin_date) over (partition by as_of_dates.as_of_date)
    ) as ahead
    where
        ahead.hour_start_at >= date_trunc('hour', ahead.as_of_at)
        and ahead.hour_start_at < date_trunc('hour', ahead.as_of_at) + interval 24 hour
    group by ahead.as_of_date
),

-- What was on offer today is what the newest forecast that covers today counted on.
supply_today as (
    select
        offered.as_of_date,
        sum(offered.supply_hours) as supply_hours
    from (
        select
            supply_demand.*,
            as_of_dates.as_of_date
        from supply_demand
        inner join as_of_dates
            on
                supply_demand.forecast_origin_date <= as_of_dates.as_of_date
                and {{ business_date('supply_demand.hour_start_at') }} = as_of_dates.as_of_date
                and supply_demand.hour_start_at < as_of_dates.as_of_at
        qualify
            supply_demand.forecast_origin_date
            = max(supply_demand.forecast_origin_date) over (partition by as_of_dates.as_of_date)
    ) as offered
    group by offered.as_of_date
),

open_alerts as (
    select
        as_of_dates.as_of_date,
        count(*) as open_count,
        count(*) filter (where episodes.severity = 'critical') as open_critical_count
    from as_of_dates
    inner join episodes
        on
            as_of_dates.as_of_at > episodes.opened_at
            and (episodes.is_open or as_of_dates.as_of_at <= episodes.resolved_at)
    group by as_of_dates.as_of_date
),

kpis as (
    select
        as_of_dates.as_of_date,
        as_of_dates.as_of_at,
        today.session_count::bigint as sessions_today,
        today.completed_count::bigint as completed_today,
        today.running_count::bigint as running_sessions,
        round(usual.usual_sessions, 6)::double as usual_sessions,
        coalesce(usual.usual_weeks, 0)::bigint as usual_weeks,
        round(today.session_count / nullif(usual.usual_sessions, 0), 6)::double as sessions_vs_usual,
        targets.target::double as target_sessions,
        round(today.session_count / nullif(targets.target, 0), 6)::double as target_share,
        round(recent.mean_rating, 6)::double as rating_7d,
        coalesce(recent.rating_count, 0)::bigint as rating_count_7d,
        round(recent.satisfied_count / nullif(recent.rating_count, 0), 6)::double as satisfaction_rate_7d,
        round(recent.no_show_count / nullif(recent.attendance_known_count, 0), 6)::double as no_show_rate_7d,
        coalesce(recent.attendance_known_count, 0)::bigint as attendance_known_count_7d,
        round(
            recent.tutor_reschedule_count / nullif(recent.due_count + recent.tutor_reschedule_count, 0), 6
        )::double as reschedule_rate_7d,
        round(recent.late_count / nullif(recent.lateness_known_count, 0), 6)::double as late_rate_7d,
        round(next_day.supply_hours, 6)::double as supply_hours_24h,
        round(next_day.demand_hours, 6)::double as demand_hours_24h,
        round(next_day.supply_hours / nullif(next_day.demand_hours, 0), 6)::double as supply_demand_ratio_24h,
        round(next_day.unmet_sessions, 6)::double as expected_unmet_sessions_24h,
        round(today.hours_taught / nullif(supply_today.supply_hours, 0), 6)::double as utilisation_rate,
        coalesce(open_alerts.open_count, 0)::bigint as open_alerts,
        coalesce(open_alerts.open_critical_count, 0)::bigint as open_critical_alerts
    from as_of_dates
    inner join sessions_today as today on as_of_dates.as_of_date = today.as_of_date
    left join usual on as_of_dates.as_of_date = usual.as_of_date
    left join recent on as_of_dates.as_of_date = recent.as_of_date
    left join next_day on as_of_dates.as_of_date = next_day.as_of_date
    left join supply_today on as_of_dates.as_of_date = supply_today.as_of_date
    left join open_alerts on as_of_dates.as_of_date = open_alerts.as_of_date
    left join targets on targets.kpi = 'session_volume'
)

select * from kpis
