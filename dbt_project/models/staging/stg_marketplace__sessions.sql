-- One row per session_id and version_hash: what a feed said about a session, as it came in.
with
source as (
    select
        *,
        snapshot_id as loaded_snapshot_id
    from {{ source('raw_marketplace', 'sessions') }}
    {{ known_then() }}
),

versions as (
    select
        session_id,
        version_hash,
        tutor_id,
        customer_id,
        subject_id,
        source,
        batch_id,
        status,
        join_kind,
        rescheduled_by,
        student_rating,
        tutor_rating,
        reschedule_count,
        loaded_snapshot_id,
        reports_attendance,
        reports_customer_attendance,
        reported_late,
        is_first_reported,
        booked_followup,
        booked_at,
        scheduled_start_at,
        scheduled_end_at,
        tutor_joined_at,
        tutor_left_at,
        customer_joined_at,
        customer_left_at,
        updated_at,
        ingested_at
    from source
)

select * from versions
