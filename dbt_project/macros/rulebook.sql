{#
What belongs here: how models read the rulebook, and the one way in which components become a score.
What does not: numbers.
#}

{# A free choice of a formula, from seed score_parameters. #}
{% macro parameter(name) -%}
    (select parameters.value from {{ ref('score_parameters') }} as parameters where parameters.parameter = '{{ name }}')
{%- endmacro %}

{#
Combines components into scores. Grain: one row per row of the relation.

measured: relation with entity_id, as_of_date, score_code, formula_version, sample_size, not_scored_reason (why there
is nothing to judge, or null), and three lists side by side: component_names, component_values, missing_reasons (why a
value is null). Weights, base, range and tiers come from the rulebook. A score with a missing component is null and
says why: never a default. Sums run in the order of the rulebook and are rounded, so a rerun gives the same bytes.
#}
{% macro combine_components(entity_id, measured) -%}
    select
        scored.{{ entity_id }},
        scored.as_of_date,
        scored.score_code,
        scored.formula_version,
        scored.score,
        list_filter(scored.tiers, lambda floor : floor.lower_bound <= scored.score)[1].tier as tier,
        scored.sample_size,
        null::double as lower_bound,
        null::double as upper_bound,
        scored.not_scored_reason,
        scored.components
    from (
        select
            weighed.*,
            case
                when weighed.not_scored_reason is null
                    then greatest(
                        weighed.range_min,
                        least(
                            weighed.range_max,
                            round(
                                weighed.base
                                + list_sum(list_transform(weighed.components, lambda part : part.points)), 6
                            )
                        )
                    )
            end as score
        from (
            select
                measured.{{ entity_id }},
                measured.as_of_date,
                measured.score_code,
                measured.formula_version,
                measured.sample_size::bigint as sample_size,
                coalesce(
                    measured.not_scored_reason,
                    list_filter(
                        list_transform(
                            formulas.parts,
                            lambda part :
                                measured.missing_reasons[list_position(measured.component_names, part.component)]
                        ),
                        lambda reason : reason is not null
                    )[1]
                ) as not_scored_reason,
                list_transform(
                    formulas.parts,
                    lambda part :
                        struct_pack(
                            name := part.component,
                            value := round(
                                measured.component_values[list_position(measured.component_names, part.component)], 6
                            ),
                            weight := part.weight,
                            points := round(
                                measured.component_values[list_position(measured.component_names, part.component)]
                                * part.weight * part.sign, 6
                            )
                        )
                ) as components,
                formulas.base,
                formulas.range_min,
                formulas.range_max,
                formulas.tiers
            from {{ measured }} as measured
            inner join ({{ formulas() }}) as formulas
                on
                    measured.score_code = formulas.score_code
                    and measured.formula_version = formulas.formula_version
        ) as weighed
    ) as scored
{%- endmacro %}

{# Everything the rulebook says about a score. Grain: score_code and formula_version. #}
{% macro formulas() -%}
    select
        definitions.score_code,
        definitions.formula_version,
        definitions.base,
        definitions.range_min,
        definitions.range_max,
        weights.parts,
        tiers.tiers
    from {{ ref('score_definitions') }} as definitions
    inner join (
        select
            score_code,
            formula_version,
            list(
                struct_pack(component := component, weight := weight, sign := sign) order by position
            ) as parts
        from {{ ref('score_weights') }}
        group by score_code, formula_version
    ) as weights
        on definitions.score_code = weights.score_code and definitions.formula_version = weights.formula_version
    inner join (
        select
            score_code,
            formula_version,
            list(struct_pack(tier := tier, lower_bound := lower_bound) order by lower_bound desc) as tiers
        from {{ ref('score_tiers') }}
        group by score_code, formula_version
    ) as tiers
        on definitions.score_code = tiers.score_code and definitions.formula_version = tiers.formula_version
{%- endmacro %}

{# A limit of the supply view, from seed forecast_limits. #}
{% macro forecast_limit(name) -%}
    (select limits.value from {{ ref('forecast_limits') }} as limits where limits.limit_name = '{{ name }}')
{%- endmacro %}

{# A limit of the data-quality reports, from seed quality_limits. #}
{% macro quality_limit(name) -%}
    (select limits.value from {{ ref('quality_limits') }} as limits where limits.limit_name = '{{ name }}')
{%- endmacro %}
