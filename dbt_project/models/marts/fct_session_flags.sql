-- One row per session_id and rule_code: what the rulebook finds wrong with a session, at its highest severity.
-- Only sessions that a change touches are judged again; a change of the rules needs a full refresh.
-- depends_on: {{ ref('fct_session_versions') }}
{{ config(materialized='incremental', incremental_strategy='replace_touched_sessions', tags=['fast']) }}

with
sessions as (
    select
        *,
        is_first_for_customer as is_first
    from {{ ref('fct_sessions') }}
    {% if is_incremental() %}
    where session_id in (select touched.session_id from ({{ touched_sessions(this) }}) as touched)
    {% endif %}
),

rules as (select * from {{ ref('session_flag_rules') }}),

judged as ({{ session_flags('sessions', 'rules') }}
),

flags as (
    select
        judged.session_id,
        judged.rule_code,
        sessions.tutor_id,
        sessions.customer_id,
        sessions.subject_id,
        judged.severity,
        judged.measure,
        judged.value,
        judged.threshold,
        sessions.loaded_snapshot_id,
        sessions.session_date,
        sessions.scheduled_start_at,
        sessions.ended_at
    from judged
    inner join sessions on judged.session_id = sessions.session_id
)

select * from flags
