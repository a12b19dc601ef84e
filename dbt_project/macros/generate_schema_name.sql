{# Folder = schema: each environment owns a whole lake, so a schema never carries the environment's name. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
