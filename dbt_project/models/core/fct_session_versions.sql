-- One row per session_id and version_number: what each version of a session said, when it was known, what it changed.
-- Numbered as the truth is settled (macros/versions.sql), so a version that came late stands where it belongs; a
-- version that was overtaken before it came was never known. Only sessions with new versions are rebuilt.
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

versions_judged as ({{ session_truths('versions_numbered', parameter('late_grace_minutes')) }}
),

versions_compared as (
    select
        *,
        {% for field in session_fields_kept().split() %}
        last_value({{ field }} ignore nulls) over older_versions as {{ field }}_before,
        {% endfor %}
        {% for field in session_fields_settled().split() %}
        lag({{ field }}) over all_versions as {{ field }}_before,
        {% endfor %}
        min(case when status not in ('scheduled', 'cancelled') then version_number end) over older_versions
            as first_finished_before,
        min(ingested_at) over newer_versions as known_until
    from versions_judged
    window
        all_versions as (partition by session_id order by version_number),
        older_versions as (
            partition by session_id order by version_number
            rows between unbounded preceding and 1 preceding
        ),
        newer_versions as (
            partition by session_id order by version_number
            rows between 1 following and unbounded following
        )
),

session_versions as (
    select
        session_id,
        version_number::bigint as version_number,
        version_hash,
        tutor_id,
        customer_id,
        source,
        status,
        student_rating,
        case
            when version_number = 1 then []
            else
                list_filter(
                    [
                        {% for field in session_fields_kept().split() %}
                        case
                            when coalesce({{ field }}, {{ field }}_before) is distinct from {{ field }}_before
                                then '{{ field }}'
                        end,
                        {% endfor %}
                        {% for field in session_fields_settled().split() %}
                        case
                            when {{ field }} is distinct from {{ field }}_before then '{{ field }}'
                        end{{ ',' if not loop.last }}
                        {% endfor %}
                    ],
                    lambda field: field is not null
                )
        end::varchar[] as changed_fields,
        loaded_snapshot_id::bigint as loaded_snapshot_id,
        coalesce(
            first_finished_before is not null
            and student_rating is not null
            and student_rating is distinct from student_rating_before,
            false
        ) as is_late_feedback,
        scheduled_start_at,
        updated_at,
        ingested_at as known_from,
        known_until
    from versions_compared
)

select * from session_versions
