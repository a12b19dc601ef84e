{# The marketplace behind a feed: rails.pull and rails.webhook are both rails; every import is its own. #}
{% macro origin_of(source) -%}
    case
        when {{ source }} like 'import.%' then {{ source }}
        else split_part({{ source }}, '.', 1)
    end
{%- endmacro %}

{# Two relations speak of the same: all these columns agree. #}
{% macro agree(one, other, columns) -%}
    {%- for column in columns -%}
        {{ one }}.{{ column }} = {{ other }}.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
