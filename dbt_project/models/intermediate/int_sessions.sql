-- One row per session_id: the newest version, with what was once known kept, and what is true about it.
-- Only sessions with new versions are rebuilt.
{{
    config(
        materialized='incremental', incremental_strategy='delete+insert', unique_key='session_id',
        tags=['fast']
    )
}}

with
versions_in_scope as ({{ versions_in_scope(ref('stg_marketplace__sessions'), 'session_id') }}
),

versions_numbered as (
    select
        *,
        row_number() over (partition by session_id order by {{ version_rank() }}) as version_number
    from versions_in_scope
),

-- arg_max skips null, arg_max_null does not.
sessions_merged as (
    select
        session_id,
        {% for field in session_fields_kept().split() %}
        arg_max({{ field }}, version_number) as {{ field }},
        {% endfor %}
        {% for field in session_fields_settled().split() %}
        arg_max_null({{ field }}, version_number) as {{ field }},
        {% endfor %}
        arg_max(version_hash, version_number) as version_hash,
        arg_max(source, version_number) as source,
        count(*) as version_count,
        max(loaded_snapshot_id) as loaded_snapshot_id,
        arg_max(updated_at, version_number) as updated_at,
        max(ingested_at) as ingested_at
    from versions_numbered
    group by session_id
),

session_truths as ({{ session_truths('sessions_merged', parameter('late_grace_minutes')) }}
)

select * from session_truths
