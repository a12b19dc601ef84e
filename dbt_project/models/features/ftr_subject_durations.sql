-- One row per subject_id: how many hours a session of the subject takes, to turn sessions into tutor-hours.
-- A subject without completed sessions in the window takes the mean of all subjects, and says so.
{{ config(materialized='table') }}

with
sessions as (
    select * from {{ ref('fct_sessions') }}
    where
        status = 'completed'
        and duration_hours > 0
        and session_date
        between {{ window_start(as_of_to(), 'duration_window_days') }}
        and {{ as_of_to() }}
        and scheduled_start_at < {{ as_of_at() }}
),

subjects as (select * from {{ ref('dim_subjects') }}),

overall as (select avg(duration_hours) as mean_hours from sessions),

measured as (
    select
        subject_id,
        avg(duration_hours) as mean_hours,
        count(*) as session_count
    from sessions
    where subject_id is not null
    group by subject_id
),

durations as (
    select
        subjects.subject_id,
        {{ as_of_to() }} as as_of_date,
        round(coalesce(measured.mean_hours, overall.mean_hours), 6)::double as mean_session_hours,
        coalesce(measured.session_count, 0)::bigint as session_count,
        measured.mean_hours is null as is_from_all_subjects
    from subjects
    left join measured on subjects.subject_id = measured.subject_id
    cross join overall
    where coalesce(measured.mean_hours, overall.mean_hours) is not null
)

select * from durations
