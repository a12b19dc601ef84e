-- One row per session_id: the newest version, with what was once known kept, and what is true about it.
-- Only sessions with new versions are rebuilt.
{{
    config(
        materialized='incremental', incremental_strategy='delete+insert', unique_key='session_id',
        tags=['fast']
    )
}}

with
versions as (select * from {{ ref('stg_marketplace__sessions') }}),

versions_in_scope as (
    select * from versions
    {% if is_incremental() %}
    where
        versions.session_id in (
            select fresh.session_id
            from {{ ref('stg_marketplace__sessions') }} as fresh
            where fresh.loaded_snapshot_id > {{ built_until(this) }}
        )
    {% endif %}
),

versions_numbered as (
    select
        *,
        row_number() over (
            partition by session_id order by updated_at, ingested_at, version_hash
        ) as version_number
    from versions_in_scope
),

-- arg_max skips null: a later version that does not mention a rating does not take it back.
-- arg_max_null does not: a later version that says nobody joined is believed.
sessions_merged as (
    select
        session_id,
        arg_max_null(version_hash, version_number) as version_hash,
        arg_max_null(tutor_id, version_number) as tutor_id,
        arg_max_null(customer_id, version_number) as customer_id,
        arg_max(subject_id, version_number) as subject_id,
        arg_max_null(source, version_number) as source,
        arg_max_null(join_kind, version_number) as join_kind,
        arg_max(rescheduled_by, version_number) as rescheduled_by,
        arg_max(student_rating, version_number) as student_rating,
        arg_max(tutor_rating, version_number) as tutor_rating,
        arg_max(reschedule_count, version_number) as reschedule_count,
        count(*) as version_count,
        max(loaded_snapshot_id) as loaded_snapshot_id,
        arg_max_null(status, version_number) as status,
        arg_max_null(reports_attendance, version_number) as reports_attendance,
        arg_max_null(reports_customer_attendance, version_number) as reports_customer_attendance,
        arg_max(reported_late, version_number) as reported_late,
        arg_max(is_first_reported, version_number) as is_first_reported,
        arg_max(booked_followup, version_number) as booked_followup,
        arg_max(booked_at, version_number) as booked_at,
        arg_max_null(scheduled_start_at, version_number) as scheduled_start_at,
        arg_max(scheduled_end_at, version_number) as scheduled_end_at,
        arg_max_null(tutor_joined_at, version_number) as tutor_joined_at,
        arg_max_null(tutor_left_at, version_number) as tutor_left_at,
        arg_max_null(customer_joined_at, version_number) as customer_joined_at,
        arg_max_null(customer_left_at, version_number) as customer_left_at,
        arg_max_null(updated_at, version_number) as updated_at,
        max(ingested_at) as ingested_at
    from versions_numbered
    group by session_id
),

session_truths as ({{ session_truths('sessions_merged', parameter('late_grace_minutes')) }}
)

select * from session_truths
