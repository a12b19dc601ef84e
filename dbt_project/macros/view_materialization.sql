{#
A view is defined again only where its SQL changed. The SQL's digest is kept as the view's comment.

dbt's own way makes a new view, renames two and drops one in every run. To the lake each of these is a change of its
schema: a snapshot to keep, and a catalogue that every connection reads anew. Views of the lake are bound when they are
read, so one that stands needs no help when a table below it changes.
#}
{% materialization view, adapter='duckdb' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set digest = local_md5(sql) -%}

    {% if existing is not none and existing.is_view and view_digest(existing) == digest %}
        {% call noop_statement('main', 'UNCHANGED') %}{% endcall %}
    {% else %}
        {{ run_hooks(pre_hooks) }}
        {% if existing is not none and not existing.is_view %}
            {% do adapter.drop_relation(existing) %}
        {% endif %}
        {% call statement('main') %}
            create or replace view {{ target_relation }} as ({{ sql }});
            comment on view {{ target_relation }} is '{{ digest }}'
        {% endcall %}
        {{ run_hooks(post_hooks) }}
        {{ adapter.commit() }}
    {% endif %}

    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{% macro view_digest(relation) %}
    {%- set found = run_query(
        "select comment from duckdb_views() where database_name = '" ~ relation.database
        ~ "' and schema_name = '" ~ relation.schema ~ "' and view_name = '" ~ relation.identifier ~ "'"
    ) -%}
    {{ return(found.rows[0][0] if found.rows else none) }}
{% endmacro %}
