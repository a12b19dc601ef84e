{# The marketplace behind a feed: rails.pull and rails.webhook are both rails; every import is its own. #}
{% macro origin_of(source) -%}
    case
        when {{ source }} like 'import.%' then {{ source }}
        else split_part({{ source }}, '.', 1)
    end
{%- endmacro %}
