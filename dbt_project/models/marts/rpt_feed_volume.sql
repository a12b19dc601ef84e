-- One row per source, kind and as_of_date: how many new records a feed brought, against its own rhythm: the same weekday
-- of the weeks before, and for today the same hours. Null where the feed is too young to have one.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

with
-- Files come when somebody sends them, and replays when somebody asks: neither has a rhythm.
batches as (
    select
        source,
        kind,
        loaded_count,
        {{ business_time('finished_at') }} as loaded_at_local
    from {{ ref('stg_quality__ingestion_batches') }}
    where
        source not like 'import.%'
        and not is_replay
        and finished_at <= {{ as_of_at() }}
        and finished_at >= {{ first_instant_of(as_of_to() ~ " - " ~ var('quality_window_days')) }}
),

moment as (
    select {{ business_time(as_of_at()) }} - {{ as_of_to() }}::timestamp as since_midnight
),

daily as (
    select
        batches.source,
        batches.kind,
        batches.loaded_at_local::date as day,
        sum(batches.loaded_count) as whole_day,
        coalesce(
            sum(batches.loaded_count) filter (
                where
                batches.loaded_at_local - batches.loaded_at_local::date::timestamp <= moment.since_midnight
            ), 0
        ) as so_far
    from batches
    cross join moment
    group by batches.source, batches.kind, day
),

feeds as (
    select
        source,
        kind,
        min(day) as first_day
    from daily
    group by source, kind
),

calendar as (
    select
        feeds.source,
        feeds.kind,
        feeds.first_day,
        days.as_of_date::date as as_of_date
    from feeds
    cross join
        generate_series(
            {{ as_of_to() }} - {{ var('quality_history_days') }}, {{ as_of_to() }}, interval 1 day
        ) as days (as_of_date)
    where days.as_of_date >= feeds.first_day
),

-- The first day brings all history at once and says nothing about a rhythm.
weeks_before as (
    select
        calendar.source,
        calendar.kind,
        calendar.as_of_date,
        coalesce(
            case when calendar.as_of_date = {{ as_of_to() }} then daily.so_far else daily.whole_day end, 0
        )::double as record_count
    from calendar
    cross join generate_series(1, {{ var('volume_history_weeks') }}) as weeks (number)
    left join daily
        on
            calendar.source = daily.source
            and calendar.kind = daily.kind
            and daily.day = calendar.as_of_date - 7 * weeks.number::integer
    where calendar.as_of_date - 7 * weeks.number::integer > calendar.first_day
),

rhythms as (
    select
        source,
        kind,
        as_of_date,
        count(*)::bigint as week_count,
        case
            when count(*) >= {{ quality_limit('volume_weeks_min') }} then median(record_count)
        end as usual_count,
        greatest(1.4826 * mad(record_count), sqrt(greatest(median(record_count), 1)))
        * {{ quality_limit('volume_band_spreads') }} as half_band
    from weeks_before
    group by source, kind, as_of_date
),

compared as (
    select
        calendar.source,
        calendar.kind,
        calendar.as_of_date,
        coalesce(daily.whole_day, 0)::bigint as record_count,
        coalesce(rhythms.week_count, 0)::bigint as week_count,
        round(rhythms.usual_count, 1)::double as usual_count,
        case
            when rhythms.usual_count is not null
                then greatest(0, round(rhythms.usual_count - rhythms.half_band, 1))
        end::double as low_count,
        round(rhythms.usual_count + rhythms.half_band, 1)::double as high_count
    from calendar
    left join daily
        on
            calendar.source = daily.source
            and calendar.kind = daily.kind
            and calendar.as_of_date = daily.day
    left join rhythms
        on
            calendar.source = rhythms.source
            and calendar.kind = rhythms.kind
            and calendar.as_of_date = rhythms.as_of_date
),

volume as (
    select
        *,
        case
            when usual_count is not null
                then
                    greatest(record_count, usual_count) >= {{ quality_limit('volume_records_min') }}
                    and (record_count < low_count or record_count > high_count)
        end as is_unusual
    from compared
)

select * from volume
