-- One row per source, kind and as_of_date: how good the data of a feed was on a day, from 0 to 100, and what it is made
-- of. A part that nobody can judge is null and weighs nothing; a day on which nothing was read has no score.
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

{% set feed_day = ['source', 'kind', 'as_of_date'] %}
{% set history = var('quality_history_days') %}

with
batches as (
    select * from {{ ref('stg_quality__ingestion_batches') }}
    where
        not is_replay
        and as_of_date between {{ as_of_to() }} - {{ history }} and {{ as_of_to() }}
        and finished_at <= {{ as_of_at() }}
),

shapes as (
    select * from {{ ref('fct_record_shapes') }}
    where as_of_date between {{ as_of_to() }} - 2 * {{ history }} and {{ as_of_to() }}
),

named as (
    select * from {{ ref('stg_quality__named_ids') }}
    where named_on between {{ as_of_to() }} - {{ history }} and {{ as_of_to() }}
),

attempts as (
    select
        *,
        {{ business_date('started_at') }} as as_of_date
    from {{ ref('stg_quality__pull_attempts') }}
    where
        started_at <= {{ as_of_at() }}
        and started_at >= {{ first_instant_of(as_of_to() ~ " - " ~ history) }}
),

customers as (select * from {{ ref('dim_customers') }} where has_record),

tutors as (select * from {{ ref('dim_tutors') }} where has_record),

sessions as (select * from {{ ref('fct_sessions') }}),

weights as (select * from {{ ref('quality_weights') }}),

records_counted as (
    select
        source,
        kind,
        as_of_date,
        sum(read_count)::bigint as read_count,
        sum(quarantined_count)::bigint as quarantined_count
    from batches
    group by source, kind, as_of_date
),

filled as (
    select
        source,
        kind,
        as_of_date,
        sum(record_count) filter (where is_understood and value_type <> 'null') as filled_count,
        max(sampled_count) as sampled_count
    from shapes
    group by source, kind, as_of_date
),

-- Filled fields per record of a day, against the same over the source's own days before it.
completeness as (
    select
        days.source,
        days.kind,
        days.as_of_date,
        round(
            least(
                1.0,
                (any_value(days.filled_count) / any_value(days.sampled_count))
                / nullif(sum(before.filled_count) / sum(before.sampled_count), 0)
            ), 6
        )::double as completeness_rate
    from filled as days
    inner join filled as before
        on
            {{ agree('days', 'before', ['source', 'kind']) }}
            and before.as_of_date between days.as_of_date - {{ history }} and days.as_of_date - 1
    where days.sampled_count > 0
    group by days.source, days.kind, days.as_of_date
    having count(*) >= {{ quality_limit('history_days_min') }}
),

-- A marketplace that hands over no register of its people cannot be reproached with people whom nobody knows.
registers as (
    select distinct
        'customers' as register,
        origin
    from customers
    union all
    select distinct
        'tutors',
        origin
    from tutors
    union all
    select distinct
        'sessions',
        {{ origin_of('source') }}
    from sessions
),

known as (
    select
        'customers' as register,
        customer_id as id
    from customers
    union all
    select
        'tutors',
        tutor_id
    from tutors
    union all
    select
        'sessions',
        session_id
    from sessions
),

refs as (
    select
        named.source,
        named.kind,
        named.named_on as as_of_date,
        sum(named.record_count)::bigint as named_count,
        coalesce(sum(named.record_count) filter (where known.id is null), 0)::bigint as unknown_count
    from named
    inner join registers
        on named.register = registers.register and {{ origin_of('named.source') }} = registers.origin
    left join known on named.register = known.register and named.id = known.id
    group by named.source, named.kind, named.named_on
),

tries as (
    select
        source,
        kind,
        as_of_date,
        count(*)::bigint as try_count,
        round(count(*) filter (where outcome = 'ok') / count(*), 6)::double as punctuality_rate
    from attempts
    group by source, kind, as_of_date
),

days as (
    select
        source,
        kind,
        as_of_date
    from records_counted
    union distinct
    select
        source,
        kind,
        as_of_date
    from tries
),

measured as (
    select
        days.source,
        days.kind,
        days.as_of_date,
        round(
            (counted.read_count - counted.quarantined_count) / nullif(counted.read_count, 0), 6
        )::double as validity_rate,
        completeness.completeness_rate,
        round(
            (refs.named_count - refs.unknown_count) / nullif(refs.named_count, 0), 6
        )::double as references_rate,
        tries.punctuality_rate,
        coalesce(counted.read_count, 0)::bigint as read_count,
        coalesce(counted.quarantined_count, 0)::bigint as quarantined_count,
        refs.named_count,
        refs.unknown_count,
        tries.try_count
    from days
    left join records_counted as counted on {{ agree('days', 'counted', feed_day) }}
    left join completeness on {{ agree('days', 'completeness', feed_day) }}
    left join refs on {{ agree('days', 'refs', feed_day) }}
    left join tries on {{ agree('days', 'tries', feed_day) }}
),

parts as (
    select
        source,
        kind,
        as_of_date,
        unnest(['validity', 'completeness', 'references', 'punctuality']) as component,
        unnest([validity_rate, completeness_rate, references_rate, punctuality_rate]) as rate
    from measured
),

scored as (
    select
        parts.source,
        parts.kind,
        parts.as_of_date,
        round(100 * sum(parts.rate * weights.weight) / sum(weights.weight), 2)::double as score
    from parts
    inner join weights on parts.component = weights.component
    where parts.rate is not null
    group by parts.source, parts.kind, parts.as_of_date
    having bool_or(parts.component = 'validity')
),

trended as (
    select
        *,
        case
            when count(score) over before >= {{ quality_limit('history_days_min') }}
                then round(avg(score) over before, 2)
        end::double as usual_score
    from scored
    window
        before as (
            partition by source, kind order by as_of_date
            range between interval {{ history }} day preceding and interval 1 day preceding
        )
),

quality as (
    select
        measured.source,
        measured.kind,
        measured.as_of_date,
        trended.score,
        trended.usual_score,
        round(trended.score - trended.usual_score, 2)::double as score_change,
        measured.validity_rate,
        measured.completeness_rate,
        measured.references_rate,
        measured.punctuality_rate,
        measured.read_count,
        measured.quarantined_count,
        measured.named_count,
        measured.unknown_count,
        measured.try_count,
        case when trended.score is null then 'nothing was read' end as not_scored_reason,
        measured.read_count >= {{ quality_limit('refused_read_min') }}
        and measured.quarantined_count > measured.read_count * {{ quality_limit('refused_share_max') }}
            as is_refusing_much
    from measured
    left join trended on {{ agree('measured', 'trended', feed_day) }}
)

select * from quality
