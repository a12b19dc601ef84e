-- One row per session_id: what is true about each session now, and whether it was a first one.
-- Only the sessions of customers with changed sessions are rebuilt.
{{
    config(
        materialized='incremental', incremental_strategy='delete+insert', unique_key='session_id',
        tags=['fast']
    )
}}

with
sessions as (select * from {{ ref('int_sessions') }}),

{% if is_incremental() %}
changed as (
    select
        session_id,
        customer_id
    from sessions where loaded_snapshot_id > {{ built_until(this) }}
),

touched_customers as (
    select changed.customer_id from changed where changed.customer_id is not null
    union distinct
    select before.customer_id
    from {{ this }} as before
    inner join changed on before.session_id = changed.session_id
    where before.customer_id is not null
),
{% endif %}

sessions_in_scope as (
    select * from sessions
    {% if is_incremental() %}
    where
        sessions.customer_id in (select touched_customers.customer_id from touched_customers)
        or sessions.session_id in (select changed.session_id from changed)
    {% endif %}
),

-- Held sessions come before those still to come; cancelled and missed ones are nobody's first session.
customer_sessions_numbered as (
    select
        session_id,
        row_number() over (
            partition by customer_id order by status = 'completed' desc, scheduled_start_at, session_id asc
        ) as customer_session_number,
        case
            when tutor_id is not null
                then row_number() over (
                    partition by customer_id, tutor_id
                    order by status = 'completed' desc, scheduled_start_at, session_id asc
                )
        end as pair_session_number
    from sessions_in_scope
    where customer_id is not null and status in ('completed', 'scheduled')
),

-- How many sessions a customer has had so far, and how many with the tutor they have had most.
tutored_sessions_counted as (
    select
        held.session_id,
        count(*) over held_until_now as tutored_sessions_so_far,
        max(numbered.pair_session_number) over held_until_now as top_tutor_sessions_so_far
    from sessions_in_scope as held
    inner join customer_sessions_numbered as numbered on held.session_id = numbered.session_id
    where held.status = 'completed' and held.tutor_id is not null
    window
        held_until_now as (
            partition by held.customer_id order by numbered.customer_session_number
            rows between unbounded preceding and current row
        )
),

facts as (
    select
        sessions.session_id,
        sessions.source,
        sessions.tutor_id,
        sessions.customer_id,
        sessions.subject_id,
        sessions.status,
        sessions.join_kind,
        sessions.rescheduled_by,
        sessions.late_minutes,
        sessions.early_end_minutes,
        round(
            date_diff(
                'second',
                coalesce(
                    case when sessions.scheduled_end_at is not null then sessions.scheduled_start_at end,
                    sessions.tutor_joined_at
                ),
                coalesce(sessions.scheduled_end_at, sessions.tutor_left_at)
            ) / 3600.0, 6
        )::double as duration_hours,
        sessions.student_rating,
        sessions.tutor_rating,
        coalesce(sessions.reschedule_count, 0)::bigint as reschedule_count,
        {{ hour_of_week('sessions.scheduled_start_at') }} as hour_of_week,
        case when sessions.status = 'completed' then numbered.customer_session_number end::bigint
            as customer_session_number,
        case when sessions.status = 'completed' then numbered.pair_session_number end::bigint
            as pair_session_number,
        tutored.tutored_sessions_so_far::bigint as tutored_sessions_so_far,
        tutored.top_tutor_sessions_so_far::bigint as top_tutor_sessions_so_far,
        sessions.version_count::bigint as version_count,
        sessions.loaded_snapshot_id::bigint as loaded_snapshot_id,
        sessions.is_late,
        case
            when sessions.customer_id is not null then coalesce(numbered.customer_session_number = 1, false)
        end as is_first_for_customer,
        case
            when sessions.customer_id is not null and sessions.tutor_id is not null
                then coalesce(numbered.pair_session_number = 1, false)
        end as is_first_for_pair,
        sessions.is_first_reported,
        sessions.booked_followup,
        sessions.reports_attendance,
        sessions.reports_customer_attendance,
        {{ business_date('sessions.scheduled_start_at') }} as session_date,
        sessions.booked_at,
        sessions.scheduled_start_at,
        sessions.scheduled_end_at,
        sessions.tutor_joined_at,
        sessions.tutor_left_at,
        sessions.customer_joined_at,
        sessions.customer_left_at,
        coalesce(sessions.scheduled_end_at, sessions.tutor_left_at, sessions.scheduled_start_at) as ended_at,
        sessions.updated_at,
        sessions.ingested_at
    from sessions_in_scope as sessions
    left join customer_sessions_numbered as numbered on sessions.session_id = numbered.session_id
    left join tutored_sessions_counted as tutored on sessions.session_id = tutored.session_id
)

select * from facts
