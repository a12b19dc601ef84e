-- One row per source, kind and came_on: the newest change at the source among what a feed brought on a business date.
{% set kinds = ['sessions', 'customers', 'tutors', 'inbound_calls', 'reschedules', 'engagement_events'] %}

with
{% for kind in kinds %}
{{ kind }} as (
    select
        source,
        '{{ kind }}' as kind,
        {{ business_date('ingested_at') }} as came_on,
        max(updated_at) as last_changed_at
    from {{ source('raw_marketplace', kind) }}
    group by source, came_on
),

{% endfor %}
news as (
    {% for kind in kinds %}
    select * from {{ kind }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select * from news
