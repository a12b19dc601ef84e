-- One row per source and kind: how old the newest news of a feed is at the instant of the run, and how its last try
-- went. Only a feed that is pulled can be late, silent or failing: messages and imports come when they come. What
-- counts is the age, by the rulebook; the feed's own rhythm only says what is unusual.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

with
batches as (
    select * from {{ ref('stg_quality__ingestion_batches') }}
    -- A replay of the quarantine is no news of its source.
    where finished_at <= {{ as_of_at() }} and is_replay is distinct from true
),

cursors as (
    select * from {{ ref('stg_quality__pull_cursors') }}
    where saved_at <= {{ as_of_at() }}
),

attempts as (
    select * from {{ ref('stg_quality__pull_attempts') }}
    where finished_at <= {{ as_of_at() }}
),

limits as (select * from {{ ref('feed_limits') }}),

changes as (
    select
        source,
        'sessions' as kind,
        max(updated_at) as last_changed_at
    from {{ ref('fct_sessions') }}
    group by source
    union all
    select
        source,
        'inbound_calls' as kind,
        max(updated_at) as last_changed_at
    from {{ ref('fct_inbound_calls') }}
    group by source
    union all
    select
        source,
        'tutors' as kind,
        max(updated_at) as last_changed_at
    from {{ ref('dim_tutors') }}
    where has_record
    group by source
    union all
    select
        source,
        'customers' as kind,
        max(updated_at) as last_changed_at
    from {{ ref('dim_customers') }}
    where has_record
    group by source
    union all
    select
        source,
        'reschedules' as kind,
        max(updated_at) as last_changed_at
    from {{ ref('fct_reschedules') }}
    group by source
    union all
    select
        source,
        'engagement_events' as kind,
        max(updated_at) as last_changed_at
    from {{ ref('fct_engagement_events') }}
    group by source
),

ingests as (
    select
        source,
        kind,
        min(finished_at) as first_batch_at,
        max(finished_at) as last_batch_at,
        max(finished_at) filter (where loaded_count > 0) as last_loaded_at,
        arg_max(as_of_date, (finished_at, as_of_date)) as last_as_of_date
    from batches
    group by source, kind
),

-- A good try that found nothing new leaves no batch, and was a read all the same.
tries as (
    select
        source,
        kind,
        min(started_at) as first_tried_at,
        max(finished_at) filter (where outcome = 'ok') as last_good_at,
        arg_max(source_ahead_seconds, (finished_at, attempt_id)) as source_ahead_seconds
    from attempts
    group by source, kind
),

newest_tries as (
    select *
    from attempts
    qualify
        row_number() over (
            partition by source, kind order by started_at desc, finished_at desc, attempt_id desc
        ) = 1
),

cursors_newest as (
    select
        source,
        kind,
        arg_max(cursor_at, (saved_at, cursor_at)) as cursor_at
    from cursors
    group by source, kind
),

-- Batches of one pull are one piece of news.
arrivals as (
    select distinct
        source,
        kind,
        date_trunc('minute', finished_at) as arrived_at
    from batches
    where
        loaded_count > 0
        and finished_at > {{ as_of_at() }} - interval {{ var('feed_rhythm_window_days') }} day
),

gaps as (
    select
        source,
        kind,
        date_diff('second', lag(arrived_at) over (partition by source, kind order by arrived_at), arrived_at)
        / 3600.0 as gap_hours
    from arrivals
),

rhythms as (
    select
        source,
        kind,
        round(median(gap_hours), 6)::double as usual_gap_hours,
        round(quantile_cont(gap_hours, 0.99), 6)::double as long_gap_hours
    from gaps
    where gap_hours is not null
    group by source, kind
    having count(*) >= {{ var('feed_rhythm_gaps_min') }}
),

feeds as (
    select
        source,
        kind
    from ingests
    union distinct
    select
        source,
        kind
    from tries
),

known as (
    select
        feeds.source,
        feeds.kind,
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
    left join ingests on feeds.source = ingests.source and feeds.kind = ingests.kind
    left join changes on feeds.source = changes.source and feeds.kind = changes.kind
    left join tries on feeds.source = tries.source and feeds.kind = tries.kind
    left join newest_tries on feeds.source = newest_tries.source and feeds.kind = newest_tries.kind
    left join cursors_newest on feeds.source = cursors_newest.source and feeds.kind = cursors_newest.kind
    left join rhythms on feeds.source = rhythms.source and feeds.kind = rhythms.kind
),

aged as (
    select
        *,
        -- A feed that never brought anything is as old as our acquaintance with it.
        {{ hours_until_now('coalesce(last_read_at, first_met_at)') }} as hours_without_read,
        {{ hours_until_now('coalesce(last_loaded_at, first_met_at)') }} as hours_without_news,
        {{ hours_until_now('last_read_at') }} as hours_since_read,
        {{ hours_until_now('last_loaded_at') }} as hours_since_loaded,
        {{ hours_until_now('last_changed_at') }} as hours_since_change
    from known
),

judged as (
    select
        aged.source,
        aged.kind,
        {{ as_of_to() }} as as_of_date,
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
