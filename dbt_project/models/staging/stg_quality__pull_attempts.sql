-- One row per attempt_id: one try to read a feed, and how it ended.
with
source as (select * from {{ source('raw_quality', 'pull_attempts') }}),

attempts as (
    select
        attempt_id,
        source,
        kind,
        outcome,
        reason,
        record_count,
        source_ahead_seconds,
        started_at,
        finished_at,
        next_try_at
    from source
)

select * from attempts
