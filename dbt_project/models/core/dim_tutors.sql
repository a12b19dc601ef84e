-- One row per tutor_id: everybody who has a record or was ever named by a session.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast', 'scores']) }}

with
versions as (select * from {{ ref('stg_marketplace__tutors') }}),

session_versions as (select * from {{ ref('stg_marketplace__sessions') }}),

records as (
    select * from versions
    qualify row_number() over (partition by tutor_id order by {{ version_rank() }} desc) = 1
),

-- All versions count: a session that was moved or given to somebody else was once this tutor's.
tutors_named as (
    select
        tutor_id,
        min(scheduled_start_at) as first_session_at,
        min_by(source, (scheduled_start_at, source)) as source
    from session_versions
    where tutor_id is not null
    group by tutor_id
),

tutors as (
    select
        coalesce(records.tutor_id, named.tutor_id) as tutor_id,
        coalesce(records.source, named.source) as source,
        {{ origin_of('coalesce(records.source, named.source)') }} as origin,
        coalesce(records.time_zone, '{{ var("business_time_zone") }}') as time_zone,
        coalesce(records.subjects, []) as subjects,
        coalesce(records.availability, []) as availability,
        coalesce(records.leaves, []) as leaves,
        coalesce(records.loaded_snapshot_id, 0) as record_snapshot_id,
        coalesce(records.is_active, true) as is_active,
        records.tutor_id is not null as has_record,
        {{ business_date('least(records.hired_at, named.first_session_at)') }} as first_seen_date,
        records.hired_at,
        records.updated_at
    from records
    full join tutors_named as named on records.tutor_id = named.tutor_id
)

select * from tutors
