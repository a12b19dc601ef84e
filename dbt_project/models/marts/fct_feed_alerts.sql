-- One row per rule_code, entity_id and as_of_date: feeds that somebody has to look after, as alert candidates. A feed that
-- fails is told once, as failing, however late and silent it is because of that.
{{ config(materialized='incremental', incremental_strategy='replace_days', tags=['fast', 'scores']) }}

with
days as ({{ as_of_dates() }}
),

freshness as (
    select
        freshness.*,
        days.as_of_at
    from {{ ref('rpt_source_freshness') }} as freshness
    inner join days on freshness.as_of_date = days.as_of_date
),

limits as (select * from {{ ref('feed_limits') }}),

rules as (select * from {{ ref('alert_rules') }}),

-- Instants, not ages: evidence that is the same in each run leaves the episode as it is.
failing as (
    select
        'feed_failing' as rule_code,
        freshness.source || ':' || freshness.kind as entity_id,
        freshness.as_of_date,
        freshness.as_of_at,
        freshness.is_held as is_severe,
        json_object(
            'last_reason', freshness.last_reason,
            'is_held', freshness.is_held,
            'last_read_at', strftime(freshness.last_read_at, '%Y-%m-%dT%H:%M:%SZ')
        )::varchar as evidence
    from freshness
    where freshness.is_failing
),

silent as (
    select
        'feed_silent' as rule_code,
        freshness.source || ':' || freshness.kind as entity_id,
        freshness.as_of_date,
        freshness.as_of_at,
        false as is_severe,
        json_object(
            'last_read_at', strftime(freshness.last_read_at, '%Y-%m-%dT%H:%M:%SZ'),
            'last_loaded_at', strftime(freshness.last_loaded_at, '%Y-%m-%dT%H:%M:%SZ'),
            'late_after_hours', case when freshness.is_late then limits.late_after_hours end,
            'silent_after_hours', case when freshness.is_silent then limits.silent_after_hours end
        )::varchar as evidence
    from freshness
    inner join limits on freshness.kind = limits.kind
    where (freshness.is_late or freshness.is_silent) and not freshness.is_failing
),

found as (
    select * from failing
    union all
    select * from silent
),

alerts as (
    select
        found.rule_code,
        found.entity_id,
        found.as_of_date,
        null::varchar as tutor_id,
        null::varchar as customer_id,
        null::varchar as session_id,
        null::varchar as subject_id,
        case when found.is_severe then rules.high_severity else rules.severity end as severity,
        found.as_of_at as occurred_at,
        null::varchar as key_suffix,
        found.evidence
    from found
    inner join rules on found.rule_code = rules.rule_code
)

select * from alerts
