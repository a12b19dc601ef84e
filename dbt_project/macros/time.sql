{#
What belongs here: the clock of a run and the one translation between instants (UTC) and business dates.
What does not: window lengths (vars in dbt_project.yml). Nothing reads the machine's clock.
#}

{% macro required_date(name) -%}
    {%- if execute and not var(name) -%}
        {%- set hint = "pass --vars '{as_of_from: YYYY-MM-DD, as_of_to: YYYY-MM-DD}'" -%}
        {{ exceptions.raise_compiler_error("var " ~ name ~ " is missing; " ~ hint) }}
    {%- endif -%}
    date '{{ var(name) or "1970-01-01" }}'
{%- endmacro %}

{% macro as_of_from() -%}{{ required_date("as_of_from") }}{%- endmacro %}

{% macro as_of_to() -%}{{ required_date("as_of_to") }}{%- endmacro %}

{# The business date of an instant. #}
{% macro business_date(instant) -%}
    ({{ instant }} at time zone 'UTC' at time zone '{{ var("business_time_zone") }}')::date
{%- endmacro %}

{# An instant as the wall clock of the business shows it. #}
{% macro business_time(instant) -%}
    ({{ instant }} at time zone 'UTC' at time zone '{{ var("business_time_zone") }}')
{%- endmacro %}

{# Hour of the business week, 0 to 167: Monday 00:00 is 0. #}
{% macro hour_of_week(instant) -%}
    ((isodow({{ business_time(instant) }}) - 1) * 24 + hour({{ business_time(instant) }}))::integer
{%- endmacro %}

{#
The first instant (UTC) at which the clocks of a zone show a time, or have jumped past it. zone: SQL for its name.
DuckDB alone takes the second of an hour that comes twice, and moves a skipped time past the jump by as much as it
lies in it. Clocks jump by half an hour or an hour, at a full or half hour of UTC; most times are near no jump.
#}
{% macro first_shown(wall, zone) -%}
    {%- set instant = "(" ~ wall ~ ") at time zone " ~ zone ~ " at time zone 'UTC'" -%}
    {%- set hour_before = "(" ~ instant ~ " - interval 1 hour)" -%}
    case
        when
            ({{ instant }}) at time zone 'UTC' at time zone {{ zone }} = {{ wall }}
            and {{ hour_before }} at time zone 'UTC' at time zone {{ zone }} = {{ wall }} - interval 1 hour
            then {{ instant }}
        else
            list_min(
                list_filter(
                    [
                        {{ instant }},
                        {{ instant }} - interval 30 minutes,
                        {{ instant }} - interval 60 minutes,
                        time_bucket(interval 30 minutes, {{ instant }}),
                        time_bucket(interval 30 minutes, {{ instant }}) - interval 30 minutes
                    ],
                    lambda moment : moment at time zone 'UTC' at time zone {{ zone }} >= {{ wall }}
                )
            )
    end
{%- endmacro %}

{# The first instant of a business date. #}
{% macro first_instant_of(day) -%}
    {%- set zone = "'" ~ var("business_time_zone") ~ "'" -%}
    ({{ first_shown("(" ~ day ~ ")::timestamp", zone) }})
{%- endmacro %}

{# The first instant that no longer belongs to as_of_to. #}
{% macro as_of_end() -%}{{ first_instant_of(as_of_to() ~ " + 1") }}{%- endmacro %}

{#
The instant at which as_of_to is judged: as_of_instant, and never later than the end of the day.
A lane says it in its environment: every new value of a var would make dbt parse the whole project again (2 s).
#}
{% macro as_of_at() -%}
    {%- set said = env_var("CHALKLINE_AS_OF_INSTANT", "") if execute else "" -%}
    {%- set instant = var("as_of_instant") or said -%}
    {%- if instant -%}
        least({{ as_of_end() }}, timestamptz '{{ instant }}' at time zone 'UTC')
    {%- else -%}
        {{ as_of_end() }}
    {%- endif -%}
{%- endmacro %}

{#
What stands behind the raw table that a staging view reads: nothing, and all rows are known; or, when a run says
known_at, the rows that had come in by that instant. So a score is recomputed as it was known then.
#}
{% macro known_then() -%}
    {%- if var("known_at") -%}
        where ingested_at <= timestamptz '{{ var("known_at") }}' at time zone 'UTC'
    {%- endif -%}
{%- endmacro %}

{# One row per business date of this run, with the instant at which that date is judged. #}
{% macro as_of_dates() -%}
    select
        calendar.as_of_date,
        case
            when calendar.as_of_date = {{ as_of_to() }} then {{ as_of_at() }}
            else {{ first_instant_of("calendar.as_of_date + 1") }}
        end as as_of_at
    from (
        select unnest(generate_series({{ as_of_from() }}, {{ as_of_to() }}, interval 1 day))::date as as_of_date
    ) as calendar
{%- endmacro %}

{# The first instant after the days for which supply is laid out. #}
{% macro supply_end() -%}
    {{ first_instant_of(as_of_to() ~ " + " ~ var("supply_horizon_days") ~ " + 1") }}
{%- endmacro %}

{# Minutes since midnight of a text like 09:30 or 24:00. #}
{% macro minutes_of_day(clock) -%}
    (left({{ clock }}, 2)::integer * 60 + right({{ clock }}, 2)::integer)
{%- endmacro %}

{# The first day of a window of whole business days that ends with a day. #}
{% macro window_start(last_day, window) -%}
    {{ last_day }} - {{ var(window) }} + 1
{%- endmacro %}

{# Hours from one instant to another. #}
{% macro hours_between(instant, later) -%}
    round(date_diff('second', {{ instant }}, {{ later }}) / 3600.0, 6)::double
{%- endmacro %}
