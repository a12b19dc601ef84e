-- One row per subject_id and hour_start_at (UTC): sessions that were asked for, also when that was none. From the
-- subject's first hour to the instant of the run. Rebuilt: hours that a changed session touches or left, and
-- hours that are missing. Cancelled sessions were demand too; sessions without a subject belong to no row.
{{
    config(
        materialized='incremental', incremental_strategy='delete+insert', unique_key=['subject_id', 'hour_start_at'],
        tags=['fast']
    )
}}

with
sessions as (select * from {{ ref('fct_sessions') }}),

subjects as (select * from {{ ref('dim_subjects') }}),

versions as (select * from {{ ref('stg_marketplace__sessions') }}),

spine as (
    select
        subjects.subject_id,
        unnest(
            generate_series(
                date_trunc('hour', subjects.first_session_at),
                {{ as_of_at() }} - interval 1 microsecond,
                interval 1 hour
            )
        ) as hour_start_at
    from subjects
    where subjects.first_session_at is not null
),

{% if is_incremental() %}
-- A version may name the hour and leave the subject to an older one, so all subjects are paired with all hours.
subjects_and_hours_told as (
    select
        list(distinct versions.subject_id) as subject_ids,
        list(distinct date_trunc('hour', versions.scheduled_start_at)) as hours
    from versions
    where versions.session_id in (select changed.session_id from ({{ changed_sessions(this) }}) as changed)
    group by versions.session_id
),

subjects_told as (
    select
        unnest(subject_ids) as subject_id,
        hours
    from subjects_and_hours_told
),

hours_in_scope as (
    select
        spine.subject_id,
        spine.hour_start_at
    from spine
    left join
        {{ this }} as built
        on spine.subject_id = built.subject_id and spine.hour_start_at = built.hour_start_at
    where built.subject_id is null
    union distinct
    select
        subject_id,
        unnest(hours) as hour_start_at
    from subjects_told
),
{% endif %}

hours as (
    select spine.* from spine
    {% if is_incremental() %}
    inner join hours_in_scope
        on spine.subject_id = hours_in_scope.subject_id and spine.hour_start_at = hours_in_scope.hour_start_at
    {% endif %}
),

sessions_by_hour as (
    select
        sessions.subject_id,
        hours.hour_start_at,
        count(*) as requested_sessions,
        count(*) filter (where sessions.status = 'completed') as completed_sessions,
        count(*) filter (where sessions.status = 'cancelled') as cancelled_sessions,
        max(sessions.loaded_snapshot_id) as loaded_snapshot_id
    from sessions
    inner join hours
        on
            sessions.subject_id = hours.subject_id
            and date_trunc('hour', sessions.scheduled_start_at) = hours.hour_start_at
    group by sessions.subject_id, hours.hour_start_at
),

hourly_demand as (
    select
        hours.subject_id,
        hours.hour_start_at,
        {{ business_date('hours.hour_start_at') }} as session_date,
        {{ hour_of_week('hours.hour_start_at') }} as hour_of_week,
        coalesce(counted.requested_sessions, 0)::bigint as requested_sessions,
        coalesce(counted.completed_sessions, 0)::bigint as completed_sessions,
        coalesce(counted.cancelled_sessions, 0)::bigint as cancelled_sessions,
        counted.loaded_snapshot_id::bigint as loaded_snapshot_id
    from hours
    left join sessions_by_hour as counted
        on hours.subject_id = counted.subject_id and hours.hour_start_at = counted.hour_start_at
)

select * from hourly_demand
