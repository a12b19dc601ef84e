-- One row per episode_id: the life of an alert as people and the lanes have left it, with its times in hours.
{{ config(materialized='view', tags=['fast']) }}

with
episodes as (select * from {{ ref('stg_operations__alert_episodes') }})

select
    episode_id,
    alert_key,
    rule_code,
    entity_type,
    entity_id,
    tutor_id,
    customer_id,
    severity,
    status,
    owner,
    resolution,
    round(date_diff('second', opened_at, resolved_at) / 3600.0, 6)::double as hours_to_resolution,
    coach_agreed,
    status not in ('resolved', 'dismissed') as is_open,
    as_of_date,
    opened_at,
    updated_at,
    resolved_at,
    snapshot_at
from episodes
