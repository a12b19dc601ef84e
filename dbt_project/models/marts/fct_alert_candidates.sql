-- One row per alert_key and as_of_date: what deserves somebody's attention that day, with the numbers as evidence.
-- Rules about events speak of sessions that ended shortly before; rules about conditions hold as long as they hold.
{{ config(materialized='incremental', incremental_strategy='replace_days', tags=['fast', 'scores']) }}

with
as_of_dates as ({{ as_of_dates() }}
),

rules as (select * from {{ ref('alert_rules') }}),

session_flags as (select * from {{ ref('fct_session_flags') }}),

tutor_flags as (select * from {{ ref('fct_tutor_flags') }}),

tutor_scores as (select * from {{ ref('fct_tutor_scores') }}),

tutor_days as (select * from {{ ref('fct_tutor_days') }}),

customer_scores as (select * from {{ ref('fct_customer_scores') }}),

calls as (select * from {{ ref('fct_inbound_calls') }}),

supply_demand as (select * from {{ ref('fct_supply_demand') }}),

feed_alerts as (
    select * from {{ ref('fct_feed_alerts') }}
    where as_of_date between {{ as_of_from() }} and {{ as_of_to() }}
),

event_candidates as (
    select
        flags.rule_code,
        flags.session_id as entity_id,
        as_of_dates.as_of_date,
        flags.tutor_id,
        flags.customer_id,
        flags.session_id,
        flags.subject_id,
        flags.severity,
        flags.ended_at as occurred_at,
        null::varchar as key_suffix,
        json_object(
            'measure', flags.measure,
            'value', flags.value,
            'threshold', flags.threshold,
            'scheduled_start_at', strftime(flags.scheduled_start_at, '%Y-%m-%dT%H:%M:%SZ'),
            'subject_id', flags.subject_id
        )::varchar as evidence
    from session_flags as flags
    inner join as_of_dates
        on
            flags.ended_at <= as_of_dates.as_of_at
            and flags.ended_at > as_of_dates.as_of_at - interval {{ var('alert_lookback_days') }} day
    where
        flags.session_date between {{ as_of_from() }}
        - {{ var('alert_lookback_days') }}
        - 1 and {{ as_of_to() }}
),

tutor_flag_candidates as (
    select
        flags.rule_code,
        flags.tutor_id as entity_id,
        flags.as_of_date,
        flags.tutor_id,
        null::varchar as customer_id,
        null::varchar as session_id,
        null::varchar as subject_id,
        flags.severity,
        as_of_dates.as_of_at as occurred_at,
        null::varchar as key_suffix,
        json_object(
            'measure', flags.measure,
            'value', flags.value,
            'threshold', flags.threshold,
            'event_count', flags.event_count,
            'sample_size', flags.sample_size,
            'window_days', flags.window_days
        )::varchar as evidence
    from tutor_flags as flags
    inner join as_of_dates on flags.as_of_date = as_of_dates.as_of_date
),

-- The newest scoring that is not too old speaks for the day.
current_tutor_scores as (
    select
        as_of_dates.as_of_date,
        as_of_dates.as_of_at,
        scores.as_of_date as scored_on,
        scores.* exclude (as_of_date)
    from as_of_dates
    inner join tutor_scores as scores
        on
            scores.as_of_date
            between as_of_dates.as_of_date - {{ var('score_staleness_days') }} and as_of_dates.as_of_date
    where scores.formula_version = 'v1'
    qualify
        row_number() over (
            partition by as_of_dates.as_of_date, scores.tutor_id, scores.score_code
            order by scores.as_of_date desc
        ) = 1
),

-- A tutor on announced leave has no sessions because of the leave.
tutors_on_leave as (
    select distinct
        tutor_days.tutor_id,
        as_of_dates.as_of_date
    from tutor_days
    inner join as_of_dates
        on
            tutor_days.date
            between {{ window_start('as_of_dates.as_of_date', 'tutor_risk_window_days') }}
            and as_of_dates.as_of_date
    where tutor_days.is_on_leave
),

tutor_score_candidates as (
    select
        rules.rule_code,
        scores.tutor_id as entity_id,
        scores.as_of_date,
        scores.tutor_id,
        null::varchar as customer_id,
        null::varchar as session_id,
        null::varchar as subject_id,
        rules.severity,
        scores.as_of_at as occurred_at,
        null::varchar as key_suffix,
        json_object(
            'score_code', scores.score_code,
            'formula_version', scores.formula_version,
            'score', scores.score,
            'threshold', rules.threshold,
            'tier', scores.tier,
            'sample_size', scores.sample_size,
            'scored_on', scores.scored_on::varchar,
            'components', to_json(scores.components)
        )::varchar as evidence
    from current_tutor_scores as scores
    inner join rules
        on
            (
                rules.rule_code = 'tutor_health_low'
                and scores.score_code = 'THS'
                and scores.score < rules.threshold
            )
            or (
                rules.rule_code = 'tutor_churn_risk_high'
                and scores.score_code = 'TCRS'
                and scores.score >= rules.threshold
            )
    left join tutors_on_leave as leaves
        on scores.tutor_id = leaves.tutor_id and scores.as_of_date = leaves.as_of_date
    where scores.score_code <> 'TCRS' or leaves.tutor_id is null
),

customer_score_candidates as (
    select
        rules.rule_code,
        scores.customer_id as entity_id,
        scores.as_of_date,
        null::varchar as tutor_id,
        scores.customer_id,
        null::varchar as session_id,
        null::varchar as subject_id,
        rules.severity,
        as_of_dates.as_of_at as occurred_at,
        null::varchar as key_suffix,
        json_object(
            'score_code', scores.score_code,
            'formula_version', scores.formula_version,
            'score', scores.score,
            'tier', scores.tier,
            'sample_size', scores.sample_size,
            'components', to_json(scores.components)
        )::varchar as evidence
    from customer_scores as scores
    inner join as_of_dates on scores.as_of_date = as_of_dates.as_of_date
    inner join rules on rules.rule_code = 'customer_health_critical'
    where scores.score_code = 'HEALTH' and scores.formula_version = 'v1' and scores.tier = 'critical'
),

call_candidates as (
    select
        rules.rule_code,
        calls.customer_id as entity_id,
        as_of_dates.as_of_date,
        null::varchar as tutor_id,
        calls.customer_id,
        null::varchar as session_id,
        null::varchar as subject_id,
        rules.severity,
        max(calls.called_at) as occurred_at,
        null::varchar as key_suffix,
        json_object(
            'measure', 'calls',
            'value', count(*),
            'threshold', rules.threshold,
            'window_days', rules.window_days,
            'reason_codes', to_json(list(distinct calls.reason_code order by calls.reason_code))
        )::varchar as evidence
    from calls
    cross join as_of_dates
    inner join rules on rules.rule_code = 'customer_calls_repeated'
    where
        calls.customer_id is not null
        and calls.call_date between as_of_dates.as_of_date - rules.window_days + 1 and as_of_dates.as_of_date
        and calls.called_at < as_of_dates.as_of_at
    group by
        calls.customer_id,
        as_of_dates.as_of_date,
        rules.rule_code,
        rules.severity,
        rules.threshold,
        rules.window_days
    having count(*) >= rules.threshold
),

shortage_hours as (
    select
        supply_demand.*,
        as_of_dates.as_of_date,
        as_of_dates.as_of_at
    from supply_demand
    inner join as_of_dates on supply_demand.forecast_origin_date <= as_of_dates.as_of_date
    qualify
        supply_demand.forecast_origin_date
        = max(supply_demand.forecast_origin_date) over (partition by as_of_dates.as_of_date)
),

-- Hours in a row get the same block: their start minus their number is constant.
shortage_blocks_marked as (
    select
        *,
        hour_start_at
        - to_hours(row_number() over (partition by as_of_date, subject_id order by hour_start_at))
            as block
    from shortage_hours
    where
        ratio < {{ forecast_limit('shortage_ratio') }}
        and p_shortage >= {{ forecast_limit('shortage_probability_min') }}
        and expected_unmet_sessions >= {{ forecast_limit('expected_unmet_min') }}
),

-- The whole block as it was forecast: a block that has begun keeps its name until its last hour is over.
shortage_blocks as (
    select
        as_of_date,
        subject_id,
        min(hour_start_at) as first_hour_at,
        max(hour_start_at) as last_hour_at,
        count(*) as hour_count,
        min(ratio) as worst_ratio,
        max(p_shortage) as highest_p_shortage,
        round(sum(supply_hours), 6) as supply_hours,
        round(sum(demand_hours), 6) as demand_hours,
        round(sum(expected_unmet_sessions), 6) as expected_unmet_sessions,
        any_value(forecast_origin_date) as forecast_origin_date,
        any_value(as_of_at) as as_of_at
    from shortage_blocks_marked
    group by as_of_date, subject_id, block
),

shortage_candidates as (
    select
        rules.rule_code,
        blocks.subject_id as entity_id,
        blocks.as_of_date,
        null::varchar as tutor_id,
        null::varchar as customer_id,
        null::varchar as session_id,
        blocks.subject_id,
        case
            when blocks.worst_ratio < {{ forecast_limit('severe_shortage_ratio') }} then rules.high_severity
            else rules.severity
        end as severity,
        blocks.first_hour_at as occurred_at,
        ':' || strftime(blocks.first_hour_at, '%Y-%m-%dT%H') as key_suffix,
        json_object(
            'first_hour_at', strftime(blocks.first_hour_at, '%Y-%m-%dT%H:%M:%SZ'),
            'last_hour_at', strftime(blocks.last_hour_at, '%Y-%m-%dT%H:%M:%SZ'),
            'hour_count', blocks.hour_count,
            'supply_hours', blocks.supply_hours,
            'demand_hours', blocks.demand_hours,
            'worst_ratio', round(blocks.worst_ratio, 6),
            'p_shortage', round(blocks.highest_p_shortage, 6),
            'expected_unmet_sessions', blocks.expected_unmet_sessions,
            'forecast_origin_date', blocks.forecast_origin_date::varchar
        )::varchar as evidence
    from shortage_blocks as blocks
    inner join rules on rules.rule_code = 'supply_shortage'
    where blocks.last_hour_at + interval 1 hour > blocks.as_of_at
),

all_candidates as (
    select * from event_candidates
    union all
    select * from tutor_flag_candidates
    union all
    select * from tutor_score_candidates
    union all
    select * from customer_score_candidates
    union all
    select * from call_candidates
    union all
    select * from shortage_candidates
    union all
    select * from feed_alerts
),

candidates as (
    select
        candidates.rule_code || ':' || rules.entity_type || ':' || candidates.entity_id
        || coalesce(candidates.key_suffix, '') as alert_key,
        candidates.as_of_date,
        candidates.rule_code,
        rules.entity_type,
        candidates.entity_id,
        rules.kind,
        candidates.severity,
        rules.title,
        rules.recommended_action,
        rules.audience,
        candidates.tutor_id,
        candidates.customer_id,
        candidates.session_id,
        candidates.subject_id,
        candidates.evidence,
        candidates.occurred_at
    from all_candidates as candidates
    inner join rules on candidates.rule_code = rules.rule_code
)

select * from candidates
