{#
The grain of a relation: no two rows agree in these columns, and none of them is null.
Where the grain has as_of_date, only the days of this run are looked at: the others were when they were written, and
a lane that runs every few minutes must not read all history each time.
#}
{% test unique_grain(model, columns) %}
    select {{ columns | join(', ') }}, count(*) as row_count
    from {{ model }}
    {% if 'as_of_date' in columns and var('as_of_to') %}
        where as_of_date is null or as_of_date between {{ as_of_from() }} and {{ as_of_to() }}
    {% endif %}
    group by {{ columns | join(', ') }}
    having count(*) > 1 {% for column in columns %} or {{ column }} is null {% endfor %}
{% endtest %}
