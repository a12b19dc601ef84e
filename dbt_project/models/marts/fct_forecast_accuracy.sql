-- One row per subject_id, forecast_origin_date, model_version and level (hour or day): how far the forecast was from
-- what was asked for, over the hours or whole business days that have passed. Beside each error stands the error
-- that even a perfect forecast would have made: sqrt(2 / (pi * mean)), for counts that scatter by chance alone.
{{
    config(
        materialized='incremental', incremental_strategy='replace_days',
        meta={'replace_column': 'forecast_origin_date', 'replace_days_before': var('accuracy_lookback_days')}
    )
}}

with
forecasts as (
    select * from {{ ref('fct_demand_forecasts') }}
    where
        forecast_origin_date <= {{ as_of_to() }}
        {% if is_incremental() %}
        and forecast_origin_date >= {{ as_of_from() }} - {{ var('accuracy_lookback_days') }}
        {% endif %}
),

demand as (
    select * from {{ ref('fct_hourly_demand') }}
    where hour_start_at + interval 1 hour <= {{ as_of_at() }}
),

dates as (select * from {{ ref('dim_dates') }}),

hours as (
    select
        forecasts.subject_id,
        forecasts.forecast_origin_date,
        forecasts.model_version,
        forecasts.is_champion,
        forecasts.hour_start_at,
        demand.session_date,
        forecasts.expected_sessions as expected,
        demand.requested_sessions as actual,
        demand.requested_sessions between forecasts.lower_95 and forecasts.upper_95 as is_covered
    from forecasts
    inner join demand
        on forecasts.subject_id = demand.subject_id and forecasts.hour_start_at = demand.hour_start_at
),

-- Only days of which every hour was forecast and has passed.
days as (
    select
        hours.subject_id,
        hours.forecast_origin_date,
        hours.model_version,
        hours.is_champion,
        hours.session_date,
        sum(hours.expected) as expected,
        sum(hours.actual) as actual
    from hours
    inner join dates on hours.session_date = dates.date
    group by
        hours.subject_id, hours.forecast_origin_date, hours.model_version, hours.is_champion,
        hours.session_date, dates.starts_at, dates.ends_at
    having count(*) = date_diff('hour', dates.starts_at, dates.ends_at)
),

cells as (
    select
        subject_id,
        forecast_origin_date,
        model_version,
        is_champion,
        'hour' as level,
        expected,
        actual,
        is_covered
    from hours
    union all
    select
        subject_id,
        forecast_origin_date,
        model_version,
        is_champion,
        'day' as level,
        expected,
        actual,
        null::boolean as is_covered
    from days
),

accuracy as (
    select
        cells.subject_id,
        cells.forecast_origin_date,
        cells.model_version,
        cells.is_champion,
        cells.level,
        round(sum(abs(cells.actual - cells.expected)) / nullif(sum(cells.actual), 0), 6)::double as wape_rate,
        round(sum(cells.expected - cells.actual) / nullif(sum(cells.actual), 0), 6)::double as bias_rate,
        round(
            count(*) filter (where cells.is_covered) / nullif(count(cells.is_covered), 0), 6
        )::double as coverage_rate,
        round(sqrt(2 / (pi() * nullif(avg(cells.expected), 0))), 6)::double as noise_floor_rate,
        round(
            avg(abs(cells.actual - cells.expected) / cells.actual) filter (
                where cells.expected >= limits.value and cells.actual > 0
            ), 6
        )::double as mape_rate,
        (count(*) filter (where cells.expected >= limits.value and cells.actual > 0))::bigint
            as mape_cell_count,
        count(*)::bigint as cell_count,
        sum(cells.actual)::double as actual_sessions,
        round(sum(cells.expected), 6)::double as expected_sessions
    from cells
    inner join {{ ref('forecast_limits') }} as limits on limits.limit_name = 'mape_expected_min'
    group by cells.subject_id, cells.forecast_origin_date, cells.model_version, cells.is_champion, cells.level
)

select * from accuracy
