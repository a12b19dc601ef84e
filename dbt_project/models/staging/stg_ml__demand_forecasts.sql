-- One row per subject_id, hour_start_at, forecast_origin_date and model_version: sessions expected in an hour.
with
source as (select * from {{ source('ml', 'demand_forecasts') }}),

forecasts as (
    select
        subject_id,
        model_version,
        is_champion,
        expected_sessions,
        lower_95,
        upper_95,
        forecast_origin_date,
        hour_start_at
    from source
)

select * from forecasts
