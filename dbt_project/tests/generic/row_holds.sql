{# Every row keeps a condition. A condition that comes out null is broken too. #}
{% test row_holds(model, condition) %}
    select *
    from {{ model }}
    where not coalesce({{ condition }}, false)
{% endtest %}
