-- One row per call_id: the newest version of each call to support. Only changed calls are rebuilt.
{{
    config(
        materialized='incremental', incremental_strategy='delete+insert', unique_key='call_id',
        tags=['fast']
    )
}}

with
versions as (select * from {{ ref('stg_marketplace__inbound_calls') }}),

versions_in_scope as (
    select * from versions
    {% if is_incremental() %}
    where
        versions.call_id in (
            select fresh.call_id
            from {{ ref('stg_marketplace__inbound_calls') }} as fresh
            where fresh.loaded_snapshot_id > {{ built_until(this) }}
        )
    {% endif %}
),

calls as (
    select
        call_id,
        arg_max_null(customer_id, (updated_at, ingested_at, version_hash)) as customer_id,
        arg_max(reason_code, (updated_at, ingested_at, version_hash)) as reason_code,
        arg_max_null(source, (updated_at, ingested_at, version_hash)) as source,
        max(loaded_snapshot_id)::bigint as loaded_snapshot_id,
        arg_max_null({{ business_date('called_at') }}, (updated_at, ingested_at, version_hash)) as call_date,
        arg_max_null(called_at, (updated_at, ingested_at, version_hash)) as called_at,
        max(updated_at) as updated_at,
        max(ingested_at) as ingested_at
    from versions_in_scope
    group by call_id
)

select * from calls
