-- One row per subject_id, hour_start_at and forecast_origin_date: supply against expected demand in an hour.
with
source as (select * from {{ source('ml', 'supply_demand_risks') }}),

risks as (
    select
        subject_id,
        model_version,
        supply_hours,
        demand_hours,
        ratio,
        p_shortage,
        p_surplus,
        expected_unmet_sessions,
        forecast_origin_date,
        hour_start_at
    from source
)

select * from risks
