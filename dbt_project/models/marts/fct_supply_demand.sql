-- One row per subject_id, hour_start_at (UTC) and forecast_origin_date: tutor-hours on offer against tutor-hours
-- asked for. Without demand there is no ratio.
{{ config(materialized='view', tags=['fast']) }}

with
risks as (select * from {{ ref('stg_ml__supply_demand_risks') }})

select
    subject_id,
    hour_start_at,
    forecast_origin_date,
    model_version,
    supply_hours,
    demand_hours,
    ratio,
    p_shortage,
    p_surplus,
    expected_unmet_sessions
from risks
