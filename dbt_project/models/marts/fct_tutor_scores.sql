-- One row per tutor_id, as_of_date, score_code and formula_version: tutor health (THS) and tutor churn risk (TCRS).
-- Every tutor seen by that day has a row, also when there is nothing to judge: then the reason stands in it.
{{ config(materialized='incremental', incremental_strategy='replace_days', tags=['scores']) }}

with
as_of_dates as ({{ as_of_dates() }}
),

tutors as (select * from {{ ref('dim_tutors') }}),

days as (select * from {{ ref('fct_tutor_days') }}),

tutors_in_scope as (
    select
        tutors.tutor_id,
        tutors.is_active,
        as_of_dates.as_of_date
    from tutors
    inner join as_of_dates on tutors.first_seen_date <= as_of_dates.as_of_date
),

health_windows as (
    select
        scope.tutor_id,
        scope.as_of_date,
        sum(days.sessions_scheduled) as scheduled,
        sum(days.sessions_completed) as completed,
        sum(days.tutor_reschedules) as reschedules,
        sum(days.no_shows) as no_shows,
        sum(days.attendance_known_sessions) as attendance_known,
        sum(days.late_measured_sessions) as late_measured,
        sum(
            days.avg_late_minutes * days.late_measured_sessions
            * pow(0.5, (scope.as_of_date - days.date) / half_life.days)
        ) / nullif(
            sum(days.late_measured_sessions * pow(0.5, (scope.as_of_date - days.date) / half_life.days)), 0
        ) as late_minutes
    from tutors_in_scope as scope
    inner join days
        on
            scope.tutor_id = days.tutor_id
            and days.date
            between {{ window_start('scope.as_of_date', 'tutor_health_window_days') }}
            and scope.as_of_date
    cross join (select {{ parameter('ths_lateness_half_life_days') }} as days) as half_life
    group by scope.tutor_id, scope.as_of_date
),

health_measured as (
    select
        tutor_id,
        as_of_date,
        'THS' as score_code,
        'v1' as formula_version,
        scheduled as sample_size,
        case when scheduled = 0 then 'no sessions in {{ var("tutor_health_window_days") }} days' end
            as not_scored_reason,
        ['reschedules', 'no_shows', 'lateness'] as component_names,
        [
            reschedules / nullif(scheduled, 0),
            case when completed = 0 or attendance_known > 0 then no_shows / nullif(scheduled, 0) end,
            case
                when scheduled = 0 then null
                when completed = 0 then 0
                else least(1, late_minutes / {{ parameter('ths_lateness_cap_minutes') }})
            end
        ] as component_values,
        [
            null,
            case when completed > 0 and attendance_known = 0 then 'source has no attendance' end,
            case when completed > 0 and late_measured = 0 then 'source has no join times' end
        ] as missing_reasons
    from health_windows
),

-- Each day of the window with how many days there are and how long ago it was: new tutors have fewer.
risk_days as (
    select
        scope.tutor_id,
        scope.as_of_date,
        days.sessions_completed,
        scope.as_of_date - days.date as days_ago,
        count(*) over (partition by scope.tutor_id, scope.as_of_date) as history_days
    from tutors_in_scope as scope
    inner join days
        on
            scope.tutor_id = days.tutor_id
            and days.date
            between {{ window_start('scope.as_of_date', 'tutor_risk_window_days') }}
            and scope.as_of_date
),

risk_windows as (
    select
        tutor_id,
        as_of_date,
        max(history_days) as history_days,
        sum(sessions_completed) as completed,
        avg(sessions_completed) as mean_sessions,
        stddev_pop(sessions_completed) as sd_sessions,
        avg(sessions_completed) filter (where days_ago >= history_days // 2) as earlier_sessions,
        avg(sessions_completed) filter (where days_ago < history_days // 2) as recent_sessions
    from risk_days
    group by tutor_id, as_of_date
),

risk_measures as (
    select
        *,
        greatest(0, 1 - mean_sessions / {{ parameter('tcrs_reference_sessions_per_day') }}) as low_activity,
        case when mean_sessions = 0 then 1 else least(1, sd_sessions / mean_sessions) end as inconsistency,
        coalesce(
            recent_sessions < round({{ parameter('tcrs_declining_ratio') }} * earlier_sessions, 9), false
        ) as is_declining,
        coalesce(
            recent_sessions > round({{ parameter('tcrs_improving_ratio') }} * earlier_sessions, 9), false
        ) as is_growing,
        1 - history_days / {{ var('tutor_risk_window_days') }} as short_history
    from risk_windows
),

risk_measured as (
    select
        measures.tutor_id,
        measures.as_of_date,
        'TCRS' as score_code,
        'v1' as formula_version,
        measures.history_days as sample_size,
        case when not scope.is_active then 'tutor is not active' end as not_scored_reason,
        ['low_activity', 'inconsistency', 'declining', 'improving', 'short_history'] as component_names,
        [
            measures.low_activity,
            measures.inconsistency,
            measures.is_declining::integer,
            (
                measures.is_growing
                and round(1 - measures.inconsistency, 9) > {{ parameter('tcrs_improving_consistency_min') }}
            )::integer,
            measures.short_history
        ] as component_values,
        [null, null, null, null, null]::varchar[] as missing_reasons
    from risk_measures as measures
    inner join tutors_in_scope as scope
        on measures.tutor_id = scope.tutor_id and measures.as_of_date = scope.as_of_date
),

measured as (
    select * from health_measured
    union all
    select * from risk_measured
),

scores as ({{ combine_components('tutor_id', 'measured') }}
)

select * from scores
