-- One row per tutor_id and event_id: everything that is known to have happened with a tutor, in one line of time.
-- Sessions stand at their planned start, flags at the end of their session, moves when they were made.
{{ config(materialized='view', tags=['fast']) }}

with
sessions as (select * from {{ ref('fct_sessions') }} where tutor_id is not null),

flags as (select * from {{ ref('fct_session_flags') }} where tutor_id is not null),

moves as (select * from {{ ref('fct_reschedules') }} where tutor_id is not null),

events as (select * from {{ ref('fct_engagement_events') }} where actor_type = 'tutor'),

entries as (
    select
        tutor_id,
        'session:' || session_id as event_id,
        'session' as kind,
        status as event_type,
        session_id,
        customer_id,
        subject_id,
        json_object(
            'duration_hours', duration_hours,
            'late_minutes', late_minutes,
            'early_end_minutes', early_end_minutes,
            'student_rating', student_rating,
            'is_first_for_customer', is_first_for_customer
        )::varchar as details,
        scheduled_start_at as occurred_at
    from sessions
    union all
    select
        tutor_id,
        'flag:' || session_id || ':' || rule_code as event_id,
        'flag' as kind,
        rule_code as event_type,
        session_id,
        customer_id,
        subject_id,
        json_object('severity', severity, 'measure', measure, 'value', value, 'threshold', threshold)::varchar
            as details,
        ended_at as occurred_at
    from flags
    union all
    select
        tutor_id,
        'reschedule:' || reschedule_id as event_id,
        'reschedule' as kind,
        coalesce('by_' || rescheduled_by, 'by_unknown') as event_type,
        session_id,
        customer_id,
        subject_id,
        json_object(
            'notice_hours', notice_hours, 'moved_hours', moved_hours, 'reason_code', reason_code
        )::varchar as details,
        rescheduled_at as occurred_at
    from moves
    union all
    select
        actor_id as tutor_id,
        'engagement:' || event_id as event_id,
        'engagement' as kind,
        event_type,
        session_id,
        null::varchar as customer_id,
        null::varchar as subject_id,
        json_object('source', source)::varchar as details,
        occurred_at
    from events
)

select * from entries
