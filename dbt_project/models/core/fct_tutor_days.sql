-- One row per tutor_id and date: what a tutor did that day, also when that was nothing. From the first day a tutor
-- was seen to as_of_to. Rebuilt: days that a changed session touches or left, days that are missing, and all days
-- of tutors whose record changed.
{{
    config(
        materialized='incremental', incremental_strategy='delete+insert', unique_key=['tutor_id', 'date'],
        tags=['fast', 'scores']
    )
}}

with
sessions as (select * from {{ ref('fct_sessions') }}),

tutors as (select * from {{ ref('dim_tutors') }}),

dates as (select * from {{ ref('dim_dates') }}),

versions as (select * from {{ ref('stg_marketplace__sessions') }}),

spine as (
    select
        tutors.tutor_id,
        dates.date,
        tutors.leaves,
        tutors.record_snapshot_id
    from tutors
    inner join dates on dates.date between tutors.first_seen_date and {{ as_of_to() }}
),

{% if is_incremental() %}
days_in_scope as (
    select
        spine.tutor_id,
        spine.date
    from spine
    left join {{ this }} as built on spine.tutor_id = built.tutor_id and spine.date = built.date
    where built.record_snapshot_id is distinct from spine.record_snapshot_id
    union distinct
    select
        versions.tutor_id,
        {{ business_date('versions.scheduled_start_at') }} as date
    from versions
    where
        versions.tutor_id is not null
        and versions.session_id in (select changed.session_id from ({{ changed_sessions(this) }}) as changed)
),
{% endif %}

days as (
    select spine.* from spine
    {% if is_incremental() %}
    inner join days_in_scope on spine.tutor_id = days_in_scope.tutor_id and spine.date = days_in_scope.date
    {% endif %}
),

sessions_by_day as (
    select
        sessions.tutor_id,
        sessions.session_date,
        count(*) filter (where sessions.status = 'completed') as sessions_completed,
        count(*) filter (where sessions.rescheduled_by = 'tutor') as tutor_reschedules,
        count(*) filter (where sessions.status = 'tutor_no_show') as no_shows,
        count(*) filter (where sessions.status = 'student_no_show') as student_no_shows,
        count(*) filter (where sessions.status = 'cancelled') as cancelled_sessions,
        count(*) filter (
            where sessions.reports_attendance and sessions.status not in ('cancelled', 'scheduled')
        )
            as attendance_known_sessions,
        count(*) filter (where sessions.status = 'completed' and sessions.is_late) as late_sessions,
        count(*) filter (where sessions.status = 'completed' and sessions.is_late is not null)
            as lateness_known_sessions,
        count(sessions.late_minutes) filter (where sessions.status = 'completed') as late_measured_sessions,
        round(avg(sessions.late_minutes) filter (where sessions.status = 'completed'), 6) as avg_late_minutes,
        round(sum(sessions.duration_hours) filter (where sessions.status = 'completed'), 6) as hours_taught,
        count(sessions.student_rating) as rated_sessions,
        round(avg(sessions.student_rating), 6) as avg_student_rating,
        max(sessions.loaded_snapshot_id) as loaded_snapshot_id
    from sessions
    inner join days on sessions.tutor_id = days.tutor_id and sessions.session_date = days.date
    group by sessions.tutor_id, sessions.session_date
),

tutor_days as (
    select
        days.tutor_id,
        days.date,
        (
            coalesce(counted.sessions_completed, 0)
            + coalesce(counted.no_shows, 0)
            + coalesce(counted.tutor_reschedules, 0)
        )::bigint as sessions_scheduled,
        coalesce(counted.sessions_completed, 0)::bigint as sessions_completed,
        coalesce(counted.tutor_reschedules, 0)::bigint as tutor_reschedules,
        coalesce(counted.no_shows, 0)::bigint as no_shows,
        coalesce(counted.student_no_shows, 0)::bigint as student_no_shows,
        coalesce(counted.cancelled_sessions, 0)::bigint as cancelled_sessions,
        coalesce(counted.attendance_known_sessions, 0)::bigint as attendance_known_sessions,
        coalesce(counted.late_sessions, 0)::bigint as late_sessions,
        coalesce(counted.lateness_known_sessions, 0)::bigint as lateness_known_sessions,
        coalesce(counted.late_measured_sessions, 0)::bigint as late_measured_sessions,
        counted.avg_late_minutes::double as avg_late_minutes,
        coalesce(counted.hours_taught, 0)::double as hours_taught,
        coalesce(counted.rated_sessions, 0)::bigint as rated_sessions,
        counted.avg_student_rating::double as avg_student_rating,
        days.record_snapshot_id::bigint as record_snapshot_id,
        counted.loaded_snapshot_id::bigint as loaded_snapshot_id,
        len(list_filter(days.leaves, lambda leave: days.date between leave.starts_on and leave.ends_on)) > 0
            as is_on_leave
    from days
    left join
        sessions_by_day as counted
        on days.tutor_id = counted.tutor_id and days.date = counted.session_date
)

select * from tutor_days
