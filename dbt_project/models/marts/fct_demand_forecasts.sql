-- One row per subject_id, hour_start_at (UTC), forecast_origin_date and model_version: sessions expected in an hour.
{{ config(materialized='view') }}

with
forecasts as (select * from {{ ref('stg_ml__demand_forecasts') }})

select
    subject_id,
    hour_start_at,
    forecast_origin_date,
    model_version,
    is_champion,
    expected_sessions,
    lower_95,
    upper_95
from forecasts
