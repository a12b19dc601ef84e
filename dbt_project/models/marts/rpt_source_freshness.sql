-- One row per source, kind and as_of_date: how old the newest news of a feed was at the end of that day (at the instant
-- of the run, today), and how its last try had gone. Only a feed that is pulled can be late, silent or failing:
-- messages and imports come when they come. What counts is the age, by the rulebook; the feed's own rhythm only says
-- what is unusual.
{{ config(materialized='incremental', incremental_strategy='replace_days', tags=['fast', 'scores']) }}

{% set feed = ['source', 'kind', 'as_of_date'] %}

with
days as ({{ as_of_dates() }}
),

batches as (
    select
        days.as_of_date,
        days.as_of_at,
        batches.* exclude (as_of_date),
        batches.as_of_date as batch_date
    from {{ ref('stg_quality__ingestion_batches') }} as batches
    -- A replay of the quarantine is no news of its source.
    inner join days on batches.finished_at <= days.as_of_at and batches.is_replay is distinct from true
),

cursors as (
    select
        days.as_of_date,
        cursors.*
    from {{ ref('stg_quality__pull_cursors') }} as cursors
    inner join days on cursors.saved_at <= days.as_of_at
),

attempts as (
    select
        days.as_of_date,
        attempts.*
    from {{ ref('stg_quality__pull_attempts') }} as attempts
    inner join days on attempts.finished_at <= days.as_of_at
),

limits as (select * from {{ ref('feed_limits') }}),

news as (select * from {{ ref('stg_quality__feed_news') }}),

changes as (
    select
        news.source,
        news.kind,
        days.as_of_date,
        max(news.last_changed_at) as last_changed_at
    from news
    inner join days on news.came_on <= days.as_of_date
    group by news.source, news.kind, days.as_of_date
),

ingests as (
    select
        source,
        kind,
        as_of_date,
        min(finished_at) as first_batch_at,
        max(finished_at) as last_batch_at,
        max(finished_at) filter (where loaded_count > 0) as last_loaded_at,
        arg_max(batch_date, (finished_at, batch_date)) as last_as_of_date
    from batches
    group by source, kind, as_of_date
),

-- A good try that found nothing new leaves no batch, and was a read all the same.
tries as (
    select
        source,
        kind,
        as_of_date,
        min(started_at) as first_tried_at,
        max(finished_at) filter (where outcome = 'ok') as last_good_at,
        arg_max(source_ahead_seconds, (finished_at, attempt_id)) as source_ahead_seconds
    from attempts
    group by source, kind, as_of_date
),

newest_tries as (
    select *
    from attempts
    qualify
        row_number() over (
            partition by source, kind, as_of_date order by started_at desc, finished_at desc, attempt_id desc
        ) = 1
),

cursors_newest as (
    select
        source,
        kind,
        as_of_date,
        arg_max(cursor_at, (saved_at, cursor_at)) as cursor_at
    from cursors
    group by source, kind, as_of_date
),

-- Batches of one pull are one piece of news.
arrivals as (
    select distinct
        source,
        kind,
        as_of_date,
        date_trunc('minute', finished_at) as arrived_at
    from batches
    where
        loaded_count > 0
        and finished_at > as_of_at - interval {{ var('feed_rhythm_window_days') }} day
),

gaps as (
    select
        source,
        kind,
        as_of_date,
        date_diff('second', lag(arrived_at) over feed_day, arrived_at) / 3600.0 as gap_hours
    from arrivals
    window feed_day as (partition by source, kind, as_of_date order by arrived_at)
),

rhythms as (
    select
        source,
        kind,
        as_of_date,
        round(median(gap_hours), 6)::double as usual_gap_hours,
        round(quantile_cont(gap_hours, 0.99), 6)::double as long_gap_hours
    from gaps
    where gap_hours is not null
    group by source, kind, as_of_date
    having count(*) >= {{ var('feed_rhythm_gaps_min') }}
),

feeds as (
    select
        source,
        kind,
        as_of_date
    from ingests
    union distinct
    select
        source,
        kind,
        as_of_date
    from tries
),

known as (
    select
        feeds.source,
        feeds.kind,
        feeds.as_of_date,
        days.as_of_at,
        feeds.source = 'rails.pull' as is_pulled,
        ingests.last_as_of_date,
        changes.last_changed_at,
        greatest(ingests.last_batch_at, tries.last_good_at) as last_read_at,
        ingests.last_loaded_at,
        least(ingests.first_batch_at, tries.first_tried_at) as first_met_at,
        cursors_newest.cursor_at,
        rhythms.usual_gap_hours,
        rhythms.long_gap_hours,
        newest_tries.outcome as last_outcome,
        newest_tries.reason as last_reason,
        tries.source_ahead_seconds,
        newest_tries.finished_at as last_tried_at,
        newest_tries.next_try_at
    from feeds
    inner join days on feeds.as_of_date = days.as_of_date
    left join ingests on {{ agree('feeds', 'ingests', feed) }}
    left join changes on {{ agree('feeds', 'changes', feed) }}
    left join tries on {{ agree('feeds', 'tries', feed) }}
    left join newest_tries on {{ agree('feeds', 'newest_tries', feed) }}
    left join cursors_newest on {{ agree('feeds', 'cursors_newest', feed) }}
    left join rhythms on {{ agree('feeds', 'rhythms', feed) }}
),

aged as (
    select
        *,
        -- A feed that never brought anything is as old as our acquaintance with it.
        {{ hours_between('coalesce(last_read_at, first_met_at)', 'as_of_at') }} as hours_without_read,
        {{ hours_between('coalesce(last_loaded_at, first_met_at)', 'as_of_at') }} as hours_without_news,
        {{ hours_between('last_read_at', 'as_of_at') }} as hours_since_read,
        {{ hours_between('last_loaded_at', 'as_of_at') }} as hours_since_loaded,
        {{ hours_between('last_changed_at', 'as_of_at') }} as hours_since_change
    from known
),

judged as (
    select
        aged.source,
        aged.kind,
        aged.as_of_date,
        aged.hours_since_read,
        aged.hours_since_loaded,
        aged.hours_since_change,
        aged.usual_gap_hours,
        aged.long_gap_hours,
        aged.last_outcome,
        aged.last_reason,
        aged.source_ahead_seconds,
        aged.last_as_of_date,
        aged.last_changed_at,
        aged.last_read_at,
        aged.last_loaded_at,
        aged.last_tried_at,
        aged.next_try_at,
        aged.cursor_at,
        coalesce(aged.is_pulled and aged.hours_without_read > limits.late_after_hours, false) as is_late,
        coalesce(aged.is_pulled and aged.hours_without_news > limits.silent_after_hours, false) as is_silent,
        coalesce(aged.last_outcome in ('permanent', 'held'), false) as is_held,
        coalesce(
            aged.last_outcome in ('permanent', 'held')
            or (aged.last_outcome <> 'ok' and aged.hours_without_read > limits.late_after_hours),
            false
        ) as is_failing,
        coalesce(aged.is_pulled and aged.hours_since_loaded > aged.long_gap_hours, false)
            as is_unusually_quiet,
        coalesce(abs(aged.source_ahead_seconds) > 60 * limits.clock_tolerance_minutes, false) as is_clock_off
    from aged
    left join limits on aged.kind = limits.kind
)

select * from judged
