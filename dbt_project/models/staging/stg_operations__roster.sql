-- One row per coach_email and tutor_id: who looks after whom, by the newest copy of the operations store.
with
source as (select * from {{ source('raw_operations', 'roster') }}),

roster as (
    select
        coach_email,
        tutor_id,
        max(snapshot_at) as snapshot_at
    from source
    where snapshot_at = (select max(newest.snapshot_at) from source as newest)
    group by all
)

select * from roster
