-- One row per subject_id and hour_start_at (UTC): the history that demand is forecast from, whole business days
-- up to and with as_of_to. A zero is an hour in which nobody asked; is_silent_day marks days on which no subject
-- had a session at all, which is more often a feed that failed than a day without demand.
{{ config(materialized='table') }}

with
demand as (select * from {{ ref('fct_hourly_demand') }}),

days as (
    select
        session_date,
        sum(requested_sessions) as platform_sessions
    from demand
    group by session_date
),

features as (
    select
        demand.subject_id,
        demand.hour_start_at,
        {{ business_time('demand.hour_start_at') }} as local_hour_start_at,
        demand.session_date,
        demand.hour_of_week,
        demand.requested_sessions,
        days.platform_sessions = 0 as is_silent_day
    from demand
    inner join days on demand.session_date = days.session_date
    where
        demand.hour_start_at < {{ as_of_end() }}
        and demand.session_date > {{ as_of_to() }} - {{ var('demand_history_days') }}
)

select * from features
