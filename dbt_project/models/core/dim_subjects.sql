-- One row per subject_id: every subject that a session or a tutor ever named.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

with
session_versions as (select * from {{ ref('stg_marketplace__sessions') }}),

tutors as (select * from {{ ref('dim_tutors') }}),

subjects_asked as (
    select
        subject_id,
        min(scheduled_start_at) as first_session_at,
        max(scheduled_start_at) as last_session_at,
        count(distinct session_id) as session_count
    from session_versions
    where subject_id is not null
    group by subject_id
),

subjects_taught as (
    select
        taught.subject_id,
        count(*) as active_tutor_count
    from (
        select
            tutors.tutor_id,
            unnest(list_distinct(tutors.subjects)) as subject_id
        from tutors
        where tutors.is_active
    ) as taught
    group by taught.subject_id
),

subjects as (
    select
        coalesce(asked.subject_id, taught.subject_id) as subject_id,
        coalesce(asked.session_count, 0)::bigint as session_count,
        coalesce(taught.active_tutor_count, 0)::bigint as active_tutor_count,
        asked.first_session_at,
        asked.last_session_at
    from subjects_asked as asked
    full join subjects_taught as taught on asked.subject_id = taught.subject_id
)

select * from subjects
