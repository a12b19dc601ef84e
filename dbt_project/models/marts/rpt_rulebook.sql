-- One row per book, entry and attribute: every number of the rulebook and every window of the warehouse, in one long
-- list, so that a page can draw a threshold and explain a score from the same publication as the numbers.
-- noqa: disable=LT02,LT05
{{ config(materialized='incremental', incremental_strategy='replace_all') }}

{% set books = {
    'score_definitions': {
        'entry': "score_code || ':' || formula_version",
        'attributes': [
            'score_code', 'formula_version', 'entity', 'title', 'direction', 'combine_rule', 'base',
            'range_min', 'range_max', 'window_days', 'description', 'source_reference',
        ],
    },
    'score_weights': {
        'entry': "score_code || ':' || formula_version || ':' || component",
        'attributes': [
            'score_code', 'formula_version', 'component', 'position', 'weight', 'sign', 'unit',
            'description',
        ],
    },
    'score_tiers': {
        'entry': "score_code || ':' || formula_version || ':' || tier",
        'attributes': [
            'score_code', 'formula_version', 'tier', 'lower_bound', 'rank', 'label', 'color',
        ],
    },
    'score_parameters': {
        'entry': "parameter",
        'attributes': [
            'parameter', 'score_code', 'value', 'unit', 'description',
        ],
    },
    'session_flag_rules': {
        'entry': "rule_code || ':' || severity",
        'attributes': [
            'rule_code', 'severity', 'measure', 'comparison', 'threshold', 'applies_when', 'description',
        ],
    },
    'alert_rules': {
        'entry': "rule_code",
        'attributes': [
            'rule_code', 'entity_type', 'kind', 'severity', 'high_severity', 'threshold', 'high_threshold',
            'min_sample', 'second_threshold', 'second_min_sample', 'window_days', 'audience',
            'cooldown_hours', 'title', 'recommended_action',
        ],
    },
    'forecast_limits': {
        'entry': "limit_name",
        'attributes': [
            'limit_name', 'value', 'unit', 'description',
        ],
    },
    'feed_limits': {
        'entry': "kind",
        'attributes': [
            'kind', 'late_after_hours', 'silent_after_hours', 'clock_tolerance_minutes', 'description',
        ],
    },
    'quality_weights': {
        'entry': "component",
        'attributes': [
            'component', 'position', 'weight', 'unit', 'description',
        ],
    },
    'quality_limits': {
        'entry': "limit_name",
        'attributes': [
            'limit_name', 'value', 'unit', 'description',
        ],
    },
    'kpi_targets': {
        'entry': "kpi",
        'attributes': [
            'kpi', 'target', 'warning_below', 'critical_below', 'direction', 'unit', 'description',
        ],
    },
    'recommendation_rules': {
        'entry': "rule_code",
        'attributes': [
            'rule_code', 'entity_type', 'threshold', 'min_sample', 'full_confidence_sample', 'priority',
            'title', 'action', 'expected_impact',
        ],
    },
} %}
{% set windows = [
    'business_time_zone', 'tutor_health_window_days', 'tutor_risk_window_days', 'activity_window_days',
    'calls_window_days', 'rating_window_days', 'subject_share_window_days', 'duration_window_days',
    'first_session_window_days', 'activity_history_days', 'baseline_weeks', 'supply_horizon_days',
    'demand_history_days', 'alert_lookback_days', 'score_staleness_days', 'accuracy_lookback_days',
    'quality_window_days', 'quality_history_days', 'drift_told_days', 'volume_history_weeks',
    'feed_rhythm_window_days', 'feed_rhythm_gaps_min',
] %}

with
entries as (
    {% for book, shape in books.items() %}
    select
        '{{ book }}' as book,
        {{ shape.entry }} as entry,
        unnest(
            [
                {% for attribute in shape.attributes %}'{{ attribute }}'{{ ', ' if not loop.last }}{% endfor %}
            ]
        )
            as attribute,
        unnest(
            [
                {% for attribute in shape.attributes %}{{ attribute }}::varchar{{ ', ' if not loop.last }}{% endfor %}
            ]
        )
            as value
    from {{ ref(book) }}
    union all
    {% endfor %}
    {% for window in windows %}
    select
        'windows' as book,
        '{{ window }}' as entry,
        'value' as attribute,
        '{{ var(window) }}' as value
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

rulebook as (
    select
        book,
        entry,
        attribute,
        value,
        try_cast(value as double) as number_value
    from entries
    where value is not null
)

select * from rulebook
