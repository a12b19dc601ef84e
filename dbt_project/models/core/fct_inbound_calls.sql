-- One row per call_id: the newest version of each call to support. Only changed calls are rebuilt.
{{
    config(
        materialized='incremental', incremental_strategy='delete+insert', unique_key='call_id',
        tags=['fast']
    )
}}

with
versions_in_scope as ({{ versions_in_scope(ref('stg_marketplace__inbound_calls'), 'call_id') }}
),

versions_ranked as (
    select
        *,
        {{ version_rank() }} as version_rank
    from versions_in_scope
),

calls as (
    select
        call_id,
        arg_max_null(customer_id, version_rank) as customer_id,
        arg_max(reason_code, version_rank) as reason_code,
        arg_max(source, version_rank) as source,
        max(loaded_snapshot_id)::bigint as loaded_snapshot_id,
        arg_max({{ business_date('called_at') }}, version_rank) as call_date,
        arg_max(called_at, version_rank) as called_at,
        arg_max(updated_at, version_rank) as updated_at,
        max(ingested_at) as ingested_at
    from versions_ranked
    group by call_id
)

select * from calls
