-- One row per subject_id and hour_start_at (UTC): tutor-hours on offer from the start of as_of_to on.
-- Weekly availability in each tutor's own zone, minus leave, without inactive tutors; a tutor's hour is shared among
-- subjects as their recent sessions were, or equally. Empty when no source reports availability.
{{ config(materialized='table') }}

with
tutors as (select * from {{ ref('dim_tutors') }} where is_active and len(availability) > 0),

sessions as (select * from {{ ref('fct_sessions') }}),

-- One day more on each side: a tutor's day and the business day do not begin together.
days as (
    select
        unnest(
            generate_series(
                {{ as_of_to() }} - 1, {{ as_of_to() }} + {{ var('supply_horizon_days') }} + 2, interval 1 day
            )
        )::date as date
),

weekly_slots as (
    select
        tutor_id,
        time_zone,
        leaves,
        unnest(availability, recursive := true)
    from tutors
),

-- A slot that ends at or before its start runs past midnight.
slots_shown as (
    select
        weekly_slots.tutor_id,
        weekly_slots.time_zone,
        days.date + to_minutes({{ minutes_of_day('weekly_slots.start_time') }}) as start_shown,
        days.date + to_minutes(
            {{ minutes_of_day('weekly_slots.end_time') }}
            + case
                when
                    {{ minutes_of_day('weekly_slots.end_time') }}
                    <= {{ minutes_of_day('weekly_slots.start_time') }} then 1440
                else 0
            end
        ) as end_shown
    from weekly_slots
    inner join days on weekly_slots.weekday = isodow(days.date) - 1
    where
        len(
            list_filter(
                weekly_slots.leaves, lambda leave: days.date between leave.starts_on and leave.ends_on
            )
        )
        = 0
),

-- From when the tutor's clock first shows the start, or has jumped past it, to when it does so with the end.
slots as (
    select
        tutor_id,
        {{ first_shown('start_shown', 'time_zone') }} as starts_at,
        {{ first_shown('end_shown', 'time_zone') }} as ends_at
    from slots_shown
),

-- Overlapping slots are one tutor: they are joined before hours are counted.
slots_begun as (
    select
        tutor_id,
        starts_at,
        ends_at,
        coalesce(
            starts_at > max(ends_at) over (
                partition by tutor_id
                order by starts_at, ends_at rows between unbounded preceding and 1 preceding
            ),
            true
        ) as is_new_block
    from slots
    where ends_at > starts_at
),

slots_numbered as (
    select
        *,
        count(*) filter (where is_new_block) over (partition by tutor_id order by starts_at, ends_at) as block
    from slots_begun
),

blocks as (
    select
        tutor_id,
        min(starts_at) as starts_at,
        max(ends_at) as ends_at
    from slots_numbered
    group by tutor_id, block
),

block_hours as (
    select
        tutor_id,
        starts_at,
        ends_at,
        unnest(
            generate_series(date_trunc('hour', starts_at), ends_at - interval 1 microsecond, interval 1 hour)
        ) as hour_start_at
    from blocks
),

tutor_hours as (
    select
        tutor_id,
        hour_start_at,
        sum(
            date_diff(
                'second', greatest(starts_at, hour_start_at), least(ends_at, hour_start_at + interval 1 hour)
            )
        ) / 3600.0 as available_hours
    from block_hours
    where hour_start_at >= {{ first_instant_of(as_of_to()) }} and hour_start_at < {{ supply_end() }}
    group by tutor_id, hour_start_at
),

recent_sessions as (
    select
        tutor_id,
        subject_id,
        count(*) as session_count
    from sessions
    where
        tutor_id is not null
        and subject_id is not null
        and status = 'completed'
        and session_date
        between {{ window_start(as_of_to(), 'subject_share_window_days') }}
        and {{ as_of_to() }}
        and scheduled_start_at < {{ as_of_at() }}
    group by tutor_id, subject_id
),

equal_shares as (
    select
        tutors.tutor_id,
        unnest(list_distinct(tutors.subjects)) as subject_id,
        1.0 / len(list_distinct(tutors.subjects)) as share
    from tutors
    where
        len(tutors.subjects) > 0
        and tutors.tutor_id not in (select recent_sessions.tutor_id from recent_sessions)
),

shares as (
    select
        tutor_id,
        subject_id,
        session_count / sum(session_count) over (partition by tutor_id) as share
    from recent_sessions
    union all
    select
        tutor_id,
        subject_id,
        share
    from equal_shares
),

supply as (
    select
        shares.subject_id,
        tutor_hours.hour_start_at,
        {{ as_of_to() }} as as_of_date,
        round(sum(tutor_hours.available_hours * shares.share), 6)::double as supply_hours,
        count(*)::bigint as tutor_count
    from tutor_hours
    inner join shares on tutor_hours.tutor_id = shares.tutor_id
    group by shares.subject_id, tutor_hours.hour_start_at
)

select * from supply
