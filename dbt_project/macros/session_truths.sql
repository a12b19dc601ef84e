{#
The single definition of what is true about one session, and of what is wrong with it.

What belongs here: SQL text made by plain Jinja. The webhook receiver renders this very file to judge one session
within seconds, so nothing of dbt may be used here (no ref, no var, no config), and no DuckDB extension.
What does not: numbers. The grace comes in as an argument, the rules as a relation.
#}

{#
Adds the truths to raw session records. Grain: one row per row of the relation, all its columns kept.

The relation carries the fields of a session record: status, scheduled_start_at, scheduled_end_at, tutor_joined_at,
tutor_left_at, customer_joined_at, customer_left_at, reports_attendance, reports_customer_attendance, join_kind,
reported_late. A missing join says nothing unless the source reports attendance; a queue knows no minutes, neither late nor early.
#}
{% macro session_truths(relation, grace_minutes) -%}
    select
        judged.* exclude (reported_status),
        case
            when judged.reported_status in ('cancelled', 'scheduled') then judged.reported_status
            when judged.reports_attendance and judged.tutor_joined_at is null then 'tutor_no_show'
            when
                judged.reports_customer_attendance
                and judged.customer_joined_at is null
                and judged.customer_left_at is null
                then 'student_no_show'
            else 'completed'
        end as status,
        case
            when judged.late_minutes is null then judged.reported_late
            else judged.late_minutes > {{ grace_minutes }}
        end as is_late
    from (
        select
            sessions.* exclude (status),
            sessions.status as reported_status,
            case
                when sessions.join_kind = 'meeting' and sessions.tutor_joined_at is not null
                    then greatest(
                        0.0,
                        round(
                            date_diff('millisecond', sessions.scheduled_start_at, sessions.tutor_joined_at)
                            / 60000.0, 6
                        )
                    )::double
            end as late_minutes,
            case
                when sessions.join_kind = 'meeting' and sessions.tutor_joined_at is not null
                    and sessions.tutor_left_at is not null and sessions.scheduled_end_at is not null
                    then greatest(
                        0.0,
                        round(
                            date_diff('millisecond', sessions.tutor_left_at, sessions.scheduled_end_at)
                            / 60000.0, 6
                        )
                    )::double
            end as early_end_minutes
        from {{ relation }} as sessions
    ) as judged
{%- endmacro %}

{#
Judges sessions by the rulebook. Grain: one row per session_id and rule_code, the highest severity that matched.

truths_relation: what session_truths gives, plus is_first (whether this is the customer's first session; unknown
is null and then no rule about first sessions applies). rules_relation: the seed session_flag_rules.
An unknown measure never matches. Cancelled and scheduled sessions have no flags.
#}
{% macro session_flags(truths_relation, rules_relation) -%}
    select
        matched.session_id,
        matched.rule_code,
        matched.severity,
        matched.measure,
        matched.value,
        matched.threshold
    from (
        select
            measures.session_id,
            rules.rule_code,
            rules.severity,
            rules.measure,
            measures.value,
            rules.threshold::double as threshold,
            row_number() over (
                partition by measures.session_id, rules.rule_code
                order by
                    case rules.severity
                        when 'critical' then 4 when 'high' then 3 when 'medium' then 2 else 1
                    end desc,
                    rules.threshold desc
            ) as severity_order
        from (
            select
                sessions.session_id,
                sessions.status,
                sessions.is_first,
                unnest(['tutor_no_show', 'late_minutes', 'early_end_minutes', 'student_rating']) as measure,
                unnest([
                    (sessions.status = 'tutor_no_show')::integer::double,
                    sessions.late_minutes::double,
                    sessions.early_end_minutes::double,
                    sessions.student_rating::double
                ]) as value
            from {{ truths_relation }} as sessions
            where sessions.status not in ('cancelled', 'scheduled')
        ) as measures
        inner join {{ rules_relation }} as rules on measures.measure = rules.measure
        where
            case rules.applies_when
                when 'always' then true
                when 'first_session' then coalesce(measures.is_first, false)
                when 'joined' then measures.status <> 'tutor_no_show'
                else false
            end
            and case rules.comparison
                when '>' then measures.value > rules.threshold
                when '>=' then measures.value >= rules.threshold
                when '<' then measures.value < rules.threshold
                when '<=' then measures.value <= rules.threshold
                else false
            end
    ) as matched
    where matched.severity_order = 1
{%- endmacro %}
