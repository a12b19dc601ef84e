{#
What changed since a table was built. Every raw row knows the lake snapshot that brought it (DuckLake's virtual
column snapshot_id). Snapshots are numbered in the order of their commits, whatever the clocks of two writers say,
and keep their number when files are merged: so the greatest number in a table is where its next build starts.
#}

{% macro built_until(relation) -%}
    (select coalesce(max(built.loaded_snapshot_id), -1) from {{ relation }} as built)
{%- endmacro %}

{# All versions of the records that got new ones since this table was built. Grain: that of the versions. #}
{% macro versions_in_scope(versions, key) -%}
    select versions.*
    from {{ versions }} as versions
    {% if is_incremental() %}
    where versions.{{ key }} in (
        select fresh.{{ key }} from {{ versions }} as fresh where fresh.loaded_snapshot_id > {{ built_until(this) }}
    )
    {% endif %}
{%- endmacro %}

{# Sessions that changed since the relation was built. Grain: session_id. #}
{% macro changed_sessions(relation) -%}
    select facts.session_id
    from {{ ref('fct_sessions') }} as facts
    where facts.loaded_snapshot_id > {{ built_until(relation) }}
{%- endmacro %}

{#
Sessions of which something may be true that was not: those that changed, and all of every customer whom any version
of them names, because a late earlier session takes "first" away from another. Grain: session_id.
#}
{% macro touched_sessions(relation) -%}
    select facts.session_id
    from {{ ref('fct_sessions') }} as facts
    where
        facts.loaded_snapshot_id > {{ built_until(relation) }}
        or facts.customer_id in (
            select versions.customer_id
            from {{ ref('fct_session_versions') }} as versions
            where versions.session_id in (select changed.session_id from ({{ changed_sessions(relation) }}) as changed)
        )
{%- endmacro %}

{# Business dates that an event which changed since the relation was built touches, or left. Grain: event_date. #}
{% macro changed_engagement_days(relation) -%}
    select distinct unnest(
        generate_series(events.first_told_date, events.last_told_date, interval 1 day)
    )::date as event_date
    from {{ ref('fct_engagement_events') }} as events
    where events.loaded_snapshot_id > {{ built_until(relation) }}
{%- endmacro %}
