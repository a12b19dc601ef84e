-- One row per tutor_id, as_of_date and rule_code: rules about a tutor's recent days that matched.
-- A tutor who missed every session keeps a tutor health of 70; the rule on missed sessions does not let that pass.
{{ config(materialized='incremental', incremental_strategy='replace_days', tags=['fast', 'scores']) }}

with
as_of_dates as ({{ as_of_dates() }}
),

days as (select * from {{ ref('fct_tutor_days') }}),

rules as (
    select *
    from {{ ref('alert_rules') }}
    where rule_code in ('high_reschedule_rate', 'tutor_no_show_repeated')
),

windows as (
    select
        days.tutor_id,
        as_of_dates.as_of_date,
        rules.rule_code,
        rules.severity,
        rules.threshold,
        rules.min_sample,
        rules.second_threshold,
        rules.second_min_sample,
        rules.window_days,
        sum(days.sessions_scheduled) as sessions_scheduled,
        sum(days.tutor_reschedules) as tutor_reschedules,
        sum(days.sessions_completed + days.no_shows) as sessions_due,
        sum(days.no_shows) as no_shows
    from as_of_dates
    cross join rules
    inner join days
        on days.date between as_of_dates.as_of_date - rules.window_days + 1 and as_of_dates.as_of_date
    group by all
),

judged as (
    select
        tutor_id,
        as_of_date,
        rule_code,
        severity,
        'reschedule_rate' as measure,
        round(tutor_reschedules / nullif(sessions_scheduled, 0), 6) as value,
        threshold,
        tutor_reschedules as event_count,
        sessions_scheduled as sample_size,
        window_days,
        sessions_scheduled >= min_sample
        and round(tutor_reschedules / nullif(sessions_scheduled, 0), 9) > threshold as is_matched
    from windows
    where rule_code = 'high_reschedule_rate'
    union all
    select
        tutor_id,
        as_of_date,
        rule_code,
        severity,
        case when no_shows >= threshold then 'no_shows' else 'no_show_rate' end as measure,
        case
            when no_shows >= threshold then no_shows else round(no_shows / nullif(sessions_due, 0), 6)
        end as value,
        case when no_shows >= threshold then threshold else second_threshold end as threshold,
        no_shows as event_count,
        sessions_due as sample_size,
        window_days,
        no_shows >= threshold
        or (
            sessions_due >= second_min_sample
            and round(no_shows / nullif(sessions_due, 0), 9) >= second_threshold
        ) as is_matched
    from windows
    where rule_code = 'tutor_no_show_repeated'
),

flags as (
    select
        tutor_id,
        as_of_date,
        rule_code,
        severity,
        measure,
        value::double as value,
        threshold::double as threshold,
        event_count::bigint as event_count,
        sample_size::bigint as sample_size,
        window_days::bigint as window_days
    from judged
    where is_matched
)

select * from flags
