-- One row per source, kind, named_on, register and id: an identifier of somebody or something else that records of a
-- feed carry, by the day on which they came in.
with
sessions as (select * from {{ source('raw_marketplace', 'sessions') }}),

calls as (select * from {{ source('raw_marketplace', 'inbound_calls') }}),

moves as (select * from {{ source('raw_marketplace', 'reschedules') }}),

events as (select * from {{ source('raw_marketplace', 'engagement_events') }}),

carried as (
    select
        'sessions' as kind,
        source,
        ingested_at,
        unnest(['tutors', 'customers']) as register,
        unnest([tutor_id, customer_id]) as id
    from sessions
    union all
    select
        'inbound_calls',
        source,
        ingested_at,
        'customers',
        customer_id
    from calls
    union all
    select
        'reschedules',
        source,
        ingested_at,
        unnest(['tutors', 'customers', 'sessions']),
        unnest([tutor_id, customer_id, session_id])
    from moves
    union all
    select
        'engagement_events',
        source,
        ingested_at,
        unnest([actor_type || 's', 'sessions']),
        unnest([actor_id, session_id])
    from events
),

named as (
    select
        source,
        kind,
        {{ business_date('ingested_at') }} as named_on,
        register,
        id,
        count(*)::bigint as record_count
    from carried
    -- A view that looks at all history would cost each run more than the last.
    where
        id is not null
        {% if var('as_of_to') %}
        and ingested_at >= {{ first_instant_of(as_of_to() ~ " - " ~ var('quality_history_days')) }}
        {% endif %}
    group by all
)

select * from named
