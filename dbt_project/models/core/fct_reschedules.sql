-- One row per reschedule_id: the newest version of each move of a session to another time, and how short its notice
-- was. Only changed moves, and the moves of changed sessions, are rebuilt.
{{
    config(
        materialized='incremental', incremental_strategy='delete+insert', unique_key='reschedule_id',
        tags=['fast']
    )
}}

with
versions as (select * from {{ ref('stg_marketplace__reschedules') }}),

sessions as (select * from {{ ref('fct_sessions') }}),

{% if is_incremental() %}
changed as (
    select fresh.reschedule_id
    from versions as fresh
    where fresh.loaded_snapshot_id > {{ built_until(this) }}
    union distinct
    select moves.reschedule_id
    from versions as moves
    inner join sessions on moves.session_id = sessions.session_id
    where sessions.loaded_snapshot_id > {{ built_until(this) }}
),
{% endif %}

versions_ranked as (
    select
        *,
        {{ version_rank() }} as version_rank
    from versions
    {% if is_incremental() %}
    where versions.reschedule_id in (select changed.reschedule_id from changed)
    {% endif %}
),

-- arg_max skips null: a later version that does not mention who or why does not take it back.
moves as (
    select
        reschedule_id,
        arg_max(session_id, version_rank) as session_id,
        arg_max(tutor_id, version_rank) as tutor_id,
        arg_max(customer_id, version_rank) as customer_id,
        arg_max(source, version_rank) as source,
        arg_max(rescheduled_by, version_rank) as rescheduled_by,
        arg_max(reason_code, version_rank) as reason_code,
        max(loaded_snapshot_id) as loaded_snapshot_id,
        arg_max(original_start_at, version_rank) as original_start_at,
        arg_max(new_start_at, version_rank) as new_start_at,
        arg_max(rescheduled_at, version_rank) as rescheduled_at,
        arg_max(updated_at, version_rank) as updated_at,
        max(ingested_at) as ingested_at
    from versions_ranked
    group by reschedule_id
),

reschedules as (
    select
        moves.reschedule_id,
        moves.session_id,
        moves.tutor_id,
        moves.customer_id,
        sessions.subject_id,
        moves.source,
        moves.rescheduled_by,
        moves.reason_code,
        round(date_diff('second', moves.rescheduled_at, moves.original_start_at) / 3600.0, 6)::double
            as notice_hours,
        round(date_diff('second', moves.original_start_at, moves.new_start_at) / 3600.0, 6)::double
            as moved_hours,
        greatest(moves.loaded_snapshot_id, coalesce(sessions.loaded_snapshot_id, -1))::bigint
            as loaded_snapshot_id,
        moves.rescheduled_by = 'tutor' as is_tutor_initiated,
        {{ business_date('moves.rescheduled_at') }} as rescheduled_date,
        moves.original_start_at,
        moves.new_start_at,
        moves.rescheduled_at,
        moves.updated_at,
        moves.ingested_at
    from moves
    left join sessions on moves.session_id = sessions.session_id
)

select * from reschedules
