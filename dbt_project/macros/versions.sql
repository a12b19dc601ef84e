{#
Which version of a record is the truth, and what of the older ones still holds.

What belongs here: the order of versions, the same for every kind, and which fields of a session are kept once known.
The order looks at what records say: in which order they came, how often and how late changes nothing. Files that
somebody imports are the exception: a corrected mapping says the same stamp again, and means the later import.
What does not: numbers. The tolerance is in the rulebook.
#}

{#
The rank of a version among those of its record; the highest one is the truth. It is the time of the change as the
source tells it. The stamp of a clock that runs ahead would win for ever, so it counts at most as far past the
version's arrival as the rulebook tolerates: then the next change wins. Of equal stamps a live feed is believed before
an import, and the later import before an older one; what is left is told apart by the digest.
#}
{% macro version_rank() -%}
    (
        least(updated_at, ingested_at + to_seconds(60 * {{ parameter('clock_ahead_tolerance_minutes') }})),
        updated_at,
        case when source like 'import.%' then ingested_at else timestamp '9999-12-31' end,
        version_hash
    )
{%- endmacro %}

{# Fields of a session that are kept once known: a later version that does not mention a rating does not take it back. #}
{% macro session_fields_kept() -%}
    subject_id
    rescheduled_by
    student_rating
    tutor_rating
    reschedule_count
    reported_late
    is_first_reported
    booked_followup
    booked_at
    scheduled_end_at
{%- endmacro %}

{# Fields of a session that the newest version settles: one that says nobody joined is believed. #}
{% macro session_fields_settled() -%}
    tutor_id
    customer_id
    join_kind
    status
    reports_attendance
    reports_customer_attendance
    scheduled_start_at
    tutor_joined_at
    tutor_left_at
    customer_joined_at
    customer_left_at
{%- endmacro %}
