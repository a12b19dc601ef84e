-- One row per date: the calendar of the business from 2000 to 2099, the span in which a record may lie. It depends
-- on nothing but the time zone, so the nightly build is enough.
{{ config(materialized='incremental', incremental_strategy='replace_all') }}

with
spine as (
    select unnest(generate_series(date '2000-01-01', date '2100-01-01', interval 1 day))::date as date
),

-- The day after the last one is here for its beginning only.
days_begun as (
    select
        date,
        {{ first_instant_of('date') }} as starts_at
    from spine
),

dates as (
    select
        date,
        (isodow(date) - 1)::integer as weekday,
        dayname(date) as weekday_name,
        isodow(date) >= 6 as is_weekend,
        date_trunc('week', date)::date as week_start_date,
        date_trunc('month', date)::date as month_start_date,
        starts_at,
        lead(starts_at) over (order by date) as ends_at
    from days_begun
    qualify ends_at is not null
)

select * from dates
