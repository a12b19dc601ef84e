{#
Four ways to replace part of a table, each one delete and one insert in one transaction.

dbt's own delete+insert deletes only the keys that come back. A day on which the last alert went away comes back
empty, so these delete by scope instead: what this run speaks for is replaced, whether rows come back or not.
#}

{# Replaces the business dates of this run. meta.replace_column names the date, meta.replace_days_before widens it. #}
{% macro get_incremental_replace_days_sql(arguments) %}
    {%- set meta = config.get('meta') or {} -%}
    {%- set scope -%}
        {{ meta.get('replace_column', 'as_of_date') }}
        between {{ as_of_from() }} - {{ meta.get('replace_days_before', 0) }} and {{ as_of_to() }}
    {%- endset -%}
    {{ replace_scope(arguments, scope) }}
{% endmacro %}

{# Replaces the whole of a small table, without the renaming that a rebuilt table costs. #}
{% macro get_incremental_replace_all_sql(arguments) %}
    {{ replace_scope(arguments, 'true') }}
{% endmacro %}

{# Replaces all rows of the sessions that a change since this table was built touches. #}
{% macro get_incremental_replace_touched_sessions_sql(arguments) %}
    {%- set scope -%}
        session_id in (select touched.session_id from ({{ touched_sessions(arguments.target_relation) }}) as touched)
    {%- endset -%}
    {{ replace_scope(arguments, scope) }}
{% endmacro %}

{# Replaces all rows of the days whose engagement events changed since this table was built. #}
{% macro get_incremental_replace_changed_engagement_days_sql(arguments) %}
    {%- set scope -%}
        event_date in (
            select changed.event_date from ({{ changed_engagement_days(arguments.target_relation) }}) as changed
        )
    {%- endset -%}
    {{ replace_scope(arguments, scope) }}
{% endmacro %}

{% macro replace_scope(arguments, scope) %}
    {%- set columns = arguments.dest_columns | map(attribute='quoted') | join(', ') -%}
    delete from {{ arguments.target_relation }} where {{ scope }};
    insert into {{ arguments.target_relation }} ({{ columns }})
    (select {{ columns }} from {{ arguments.temp_relation }})
{% endmacro %}
