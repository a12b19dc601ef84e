-- One row per recommendation_key and as_of_date: what to do about supply and first sessions, by rule, with the
-- numbers that led to it. Confidence grows with the sample up to the rule's full one.
{{ config(materialized='incremental', incremental_strategy='replace_days') }}

with
as_of_dates as ({{ as_of_dates() }}
),

rules as (select * from {{ ref('recommendation_rules') }}),

supply_demand as (select * from {{ ref('fct_supply_demand') }}),

demand as (select * from {{ ref('fct_hourly_demand') }}),

sessions as (
    select * from {{ ref('fct_sessions') }}
    where
        session_date
        between {{ as_of_from() }} - {{ var('first_session_window_days') }} and {{ as_of_to() }}
        and is_first_for_pair
        and status = 'completed'
        and student_rating is not null
),

next_week as (
    select
        ahead.as_of_date,
        ahead.subject_id,
        sum(ahead.supply_hours) as supply_hours,
        sum(ahead.demand_hours) as demand_hours
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
    where ahead.hour_start_at >= ahead.as_of_at and ahead.hour_start_at < ahead.as_of_at + interval 7 day
    group by ahead.as_of_date, ahead.subject_id
),

weekly_demand as (
    select
        as_of_dates.as_of_date,
        demand.subject_id,
        sum(demand.requested_sessions) filter (where demand.session_date > as_of_dates.as_of_date - 7)
            as this_week,
        sum(demand.requested_sessions) filter (where demand.session_date <= as_of_dates.as_of_date - 7)
            as last_week
    from demand
    inner join as_of_dates
        on demand.session_date between as_of_dates.as_of_date - 13 and as_of_dates.as_of_date
    group by as_of_dates.as_of_date, demand.subject_id
),

first_sessions as (
    select
        as_of_dates.as_of_date,
        sessions.subject_id,
        sessions.tutor_id,
        sessions.student_rating >= {{ parameter('session_success_rating_min') }} as is_success
    from sessions
    inner join as_of_dates
        on
            sessions.session_date
            between {{ window_start('as_of_dates.as_of_date', 'first_session_window_days') }}
            and as_of_dates.as_of_date
            and sessions.scheduled_start_at < as_of_dates.as_of_at
),

measures as (
    select
        next_week.as_of_date,
        'demand_exceeds_supply' as rule_code,
        next_week.subject_id as entity_id,
        next_week.demand_hours / nullif(next_week.supply_hours, 0) as value,
        next_week.demand_hours as sample_size,
        'Next week '
        || round(next_week.demand_hours)::integer
        || ' tutor-hours are expected to be asked for and '
        || round(next_week.supply_hours)::integer || ' are on offer.' as reason
    from next_week
    union all
    select
        next_week.as_of_date,
        'supply_exceeds_demand' as rule_code,
        next_week.subject_id as entity_id,
        next_week.supply_hours / nullif(next_week.demand_hours, 0) as value,
        next_week.demand_hours as sample_size,
        'Next week ' || round(next_week.supply_hours)::integer || ' tutor-hours are on offer and '
        || round(next_week.demand_hours)::integer || ' are expected to be asked for.' as reason
    from next_week
    union all
    select
        weekly_demand.as_of_date,
        'demand_grows' as rule_code,
        weekly_demand.subject_id as entity_id,
        weekly_demand.this_week / nullif(weekly_demand.last_week, 0) as value,
        weekly_demand.last_week as sample_size,
        weekly_demand.this_week
        || ' sessions were asked for in the last seven days, '
        || weekly_demand.last_week
        || ' in the seven days before.' as reason
    from weekly_demand
    union all
    select
        first_sessions.as_of_date,
        'first_sessions_fail' as rule_code,
        first_sessions.subject_id as entity_id,
        avg(first_sessions.is_success::integer) as value,
        count(*) as sample_size,
        count(*) filter (where first_sessions.is_success) || ' of ' || count(*)
        || ' rated first sessions were a success.' as reason
    from first_sessions
    where first_sessions.subject_id is not null
    group by first_sessions.as_of_date, first_sessions.subject_id
    union all
    select
        first_sessions.as_of_date,
        'tutor_first_sessions_fail' as rule_code,
        first_sessions.tutor_id as entity_id,
        avg(first_sessions.is_success::integer) as value,
        count(*) as sample_size,
        count(*) filter (where first_sessions.is_success) || ' of ' || count(*)
        || ' rated first sessions were a success.' as reason
    from first_sessions
    where first_sessions.tutor_id is not null
    group by first_sessions.as_of_date, first_sessions.tutor_id
),

recommendations as (
    select
        measures.rule_code || ':' || rules.entity_type || ':' || measures.entity_id as recommendation_key,
        measures.as_of_date,
        measures.rule_code,
        rules.entity_type,
        measures.entity_id,
        rules.title,
        rules.action,
        measures.reason,
        rules.expected_impact,
        rules.priority::bigint as priority,
        round(measures.value, 6)::double as value,
        rules.threshold::double as threshold,
        round(measures.sample_size, 6)::double as sample_size,
        round(least(1, measures.sample_size / rules.full_confidence_sample), 6)::double as confidence_rate
    from measures
    inner join rules on measures.rule_code = rules.rule_code
    where
        measures.sample_size >= rules.min_sample
        and case
            when measures.rule_code in ('first_sessions_fail', 'tutor_first_sessions_fail')
                then round(measures.value, 9) < rules.threshold
            else round(measures.value, 9) > rules.threshold
        end
)

select * from recommendations
