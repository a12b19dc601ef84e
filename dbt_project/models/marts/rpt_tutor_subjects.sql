-- One row per tutor_id and subject_id at as_of_to: how a tutor does in each subject, over the last quarter.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['scores']) }}

with
sessions as (
    select * from {{ ref('fct_sessions') }}
    where
        tutor_id is not null
        and subject_id is not null
        and session_date
        between {{ window_start(as_of_to(), 'first_session_window_days') }} and {{ as_of_to() }}
        and scheduled_start_at < {{ as_of_at() }}
),

counted as (
    select
        tutor_id,
        subject_id,
        count(*) filter (where status = 'completed') as completed_sessions,
        count(student_rating) as rating_count,
        avg(student_rating) as avg_rating,
        count(*) filter (
            where is_first_for_pair and status = 'completed'
            and student_rating >= {{ parameter('session_success_rating_min') }}
        ) as first_success_count,
        count(student_rating) filter (where is_first_for_pair and status = 'completed') as first_rated_count
    from sessions
    group by tutor_id, subject_id
),

tutor_subjects as (
    select
        tutor_id,
        subject_id,
        {{ as_of_to() }} as as_of_date,
        completed_sessions::bigint as completed_sessions,
        round(completed_sessions / nullif(sum(completed_sessions) over (partition by tutor_id), 0), 6)::double
            as session_share,
        round(avg_rating, 6)::double as avg_rating,
        rating_count::bigint as rating_count,
        round(first_success_count / nullif(first_rated_count, 0), 6)::double as first_session_success_rate,
        first_rated_count::bigint as first_session_rated_count
    from counted
)

select * from tutor_subjects
