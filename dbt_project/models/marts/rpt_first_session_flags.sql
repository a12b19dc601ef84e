-- One row per source: how often a source's own word on first sessions agrees with what their dates say.
{{ config(materialized='incremental', incremental_strategy='replace_all') }}

with
sessions as (
    select * from {{ ref('fct_sessions') }}
    where status = 'completed' and customer_id is not null and is_first_reported is not null
),

flags as (
    select
        source,
        count(*)::bigint as finished_sessions,
        count(*) filter (where is_first_reported)::bigint as reported_first_sessions,
        count(*) filter (where is_first_for_customer)::bigint as derived_first_sessions,
        count(*) filter (where is_first_reported and is_first_for_customer)::bigint as agreed_first_sessions,
        count(*) filter (where is_first_reported and not is_first_for_customer)::bigint
            as only_reported_sessions,
        count(*) filter (where is_first_for_customer and not is_first_reported)::bigint
            as only_derived_sessions,
        round(avg((is_first_reported = is_first_for_customer)::integer), 6)::double as agreement_rate,
        {{ as_of_to() }} as as_of_date
    from sessions
    group by source
)

select * from flags
