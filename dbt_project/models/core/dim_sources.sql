-- One row per source: which marketplace stands behind a feed, and what that marketplace ever reports.
-- A score asks here whether a missing number means "not yet" or "this source never says".
{{ config(materialized='incremental', incremental_strategy='replace_all', tags=['fast']) }}

with
sessions as (select * from {{ ref('fct_sessions') }}),

customers as (select * from {{ ref('stg_marketplace__customers') }}),

tutors as (select * from {{ ref('stg_marketplace__tutors') }}),

calls as (select * from {{ ref('stg_marketplace__inbound_calls') }}),

moves as (select * from {{ ref('stg_marketplace__reschedules') }}),

sessions_reported as (
    select
        source,
        count(student_rating) > 0 as reports_ratings,
        bool_or(reports_attendance) as reports_attendance,
        count(late_minutes) > 0 as reports_join_minutes,
        count(customer_id) > 0 as reports_customers,
        count(tutor_id) > 0 as reports_tutors,
        false as reports_calls,
        false as reports_reschedules,
        false as reports_goals,
        false as reports_availability
    from sessions
    group by source
),

people_reported as (
    select
        source,
        false,
        false,
        false,
        true,
        false,
        false,
        false,
        bool_or(len(goals) > 0),
        false
    from customers
    group by source
    union all
    select
        source,
        false,
        false,
        false,
        false,
        true,
        false,
        false,
        false,
        bool_or(len(availability) > 0)
    from tutors
    group by source
    union all
    select distinct
        source,
        false,
        false,
        false,
        false,
        false,
        true,
        false,
        false,
        false
    from calls
    union all
    select distinct
        source,
        false,
        false,
        false,
        false,
        false,
        false,
        true,
        false,
        false
    from moves
),

reported as (
    select * from sessions_reported
    union all
    select * from people_reported
),

origins as (
    select
        {{ origin_of('source') }} as origin,
        bool_or(coalesce(reports_ratings, false)) as reports_ratings,
        bool_or(coalesce(reports_attendance, false)) as reports_attendance,
        bool_or(coalesce(reports_join_minutes, false)) as reports_join_minutes,
        bool_or(coalesce(reports_customers, false)) as reports_customers,
        bool_or(coalesce(reports_tutors, false)) as reports_tutors,
        bool_or(coalesce(reports_calls, false)) as reports_calls,
        bool_or(coalesce(reports_reschedules, false)) as reports_reschedules,
        bool_or(coalesce(reports_goals, false)) as reports_goals,
        bool_or(coalesce(reports_availability, false)) as reports_availability
    from reported
    group by 1
),

sources as (
    select
        feeds.source,
        origins.*
    from (select distinct reported.source from reported) as feeds
    inner join origins on {{ origin_of('feeds.source') }} = origins.origin
)

select * from sources
