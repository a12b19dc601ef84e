-- One row per episode_id: the newest copy of an alert's life as the operations store has it.
with
source as (select * from {{ source('raw_operations', 'alert_episodes') }}),

episodes as (
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
        coach_agreed,
        as_of_date,
        opened_at,
        updated_at,
        resolved_at,
        snapshot_at
    from source
    qualify row_number() over (partition by episode_id order by snapshot_at desc, updated_at desc) = 1
)

select * from episodes
