-- The tables that Python writes. All others are built by dbt. Times are UTC without a zone.
create table if not exists lake.raw_marketplace.sessions (
    session_id varchar, tutor_id varchar, customer_id varchar, subject_id varchar, status varchar,
    scheduled_start_at timestamp, scheduled_end_at timestamp,
    tutor_joined_at timestamp, tutor_left_at timestamp,
    customer_joined_at timestamp, customer_left_at timestamp,
    reports_attendance boolean, reports_customer_attendance boolean, join_kind varchar, reported_late boolean,
    is_first_reported boolean, reschedule_count bigint, rescheduled_by varchar,
    student_rating double, tutor_rating double, booked_followup boolean, booked_at timestamp,
    updated_at timestamp, source varchar, batch_id varchar, version_hash varchar, ingested_at timestamp
);
create table if not exists lake.raw_marketplace.customers (
    customer_id varchar, signed_up_at timestamp, acquisition_channel varchar, time_zone varchar,
    is_active boolean,
    goals struct(goal_id varchar, subject_id varchar, set_at timestamp, completed_at timestamp)[],
    updated_at timestamp, source varchar, batch_id varchar, version_hash varchar, ingested_at timestamp
);
create table if not exists lake.raw_marketplace.tutors (
    tutor_id varchar, hired_at timestamp, time_zone varchar, is_active boolean, subjects varchar[],
    availability struct(weekday bigint, start_time varchar, end_time varchar)[],
    leaves struct(starts_on date, ends_on date)[],
    updated_at timestamp, source varchar, batch_id varchar, version_hash varchar, ingested_at timestamp
);
create table if not exists lake.raw_marketplace.inbound_calls (
    call_id varchar, customer_id varchar, called_at timestamp, reason_code varchar,
    updated_at timestamp, source varchar, batch_id varchar, version_hash varchar, ingested_at timestamp
);
create table if not exists lake.raw_marketplace.reschedules (
    reschedule_id varchar, session_id varchar, tutor_id varchar, customer_id varchar, rescheduled_by varchar,
    reason_code varchar, original_start_at timestamp, new_start_at timestamp, rescheduled_at timestamp,
    updated_at timestamp, source varchar, batch_id varchar, version_hash varchar, ingested_at timestamp
);
create table if not exists lake.raw_marketplace.engagement_events (
    event_id varchar, actor_type varchar, actor_id varchar, event_type varchar, occurred_at timestamp,
    session_id varchar,
    updated_at timestamp, source varchar, batch_id varchar, version_hash varchar, ingested_at timestamp
);
-- Personal data is a catalogue of its own, of which no history is kept (data/lake/personal.py).
create table if not exists pii.sessions (
    session_id varchar, version_hash varchar, ingested_at timestamp,
    student_comment varchar, tutor_comment varchar, ai_summary varchar, transcript_url varchar, video_url varchar
);
create table if not exists pii.customers (
    customer_id varchar, version_hash varchar, ingested_at timestamp,
    full_name varchar, email varchar, phone varchar
);
create table if not exists pii.tutors (
    tutor_id varchar, version_hash varchar, ingested_at timestamp, full_name varchar, email varchar
);
-- A refused record can hold anything, so its text is personal until somebody has looked at it.
create table if not exists pii.quarantined_records (
    quarantine_id varchar, value varchar, record_json varchar
);
create table if not exists lake.raw_quality.quarantined_records (
    quarantine_id varchar, batch_id varchar, source varchar, kind varchar, record_id varchar,
    field varchar, reason varchar, first_seen_at timestamp
);
-- Each time that a refused record came, the first time included.
create table if not exists lake.raw_quality.quarantine_sightings (
    quarantine_id varchar, batch_id varchar, source varchar, kind varchar, seen_at timestamp
);
create table if not exists lake.raw_quality.quarantine_settlements (
    quarantine_id varchar, settlement varchar, settled_by varchar, settled_at timestamp
);
-- One row per batch of records that were judged again: its account, and who asked for it.
create table if not exists lake.raw_quality.replays (
    batch_id varchar, request_id bigint, source varchar, kind varchar, tried_count bigint, loaded_count bigint,
    duplicate_count bigint, refused_count bigint, replayed_by varchar, replayed_at timestamp
);
create table if not exists lake.raw_quality.record_shapes (
    batch_id varchar, source varchar, kind varchar, field varchar, value_type varchar, is_understood boolean,
    record_count bigint, sampled_count bigint, seen_at timestamp
);
-- One row per try to read a feed, also when nothing came of it. address_fingerprint changes with address and token.
create table if not exists lake.raw_quality.pull_attempts (
    attempt_id varchar, source varchar, kind varchar, started_at timestamp, finished_at timestamp,
    outcome varchar, reason varchar, record_count bigint, source_ahead_seconds double, next_try_at timestamp,
    address_fingerprint varchar
);
-- One row per chunk of a file that is in: an import that was stopped goes on behind it.
create table if not exists lake.raw_quality.import_chunks (
    import_id varchar, chunk_number bigint, batch_id varchar, record_count bigint, finished_at timestamp
);
create table if not exists lake.raw_quality.ingestion_batches (
    batch_id varchar, source varchar, kind varchar, started_at timestamp, finished_at timestamp,
    as_of_date date, read_count bigint, loaded_count bigint, duplicate_count bigint, quarantined_count bigint
);
create table if not exists lake.raw_quality.pull_cursors (
    source varchar, kind varchar, cursor_at timestamp, batch_id varchar, saved_at timestamp
);
create table if not exists lake.raw_operations.alert_episodes (
    episode_id varchar, alert_key varchar, rule_code varchar, entity_type varchar, entity_id varchar,
    tutor_id varchar, customer_id varchar, severity varchar, status varchar, owner varchar,
    opened_at timestamp, updated_at timestamp, resolved_at timestamp, resolution varchar,
    coach_agreed boolean, as_of_date date, snapshot_at timestamp
);
-- Whose personal data is no longer kept, whichever way it comes.
create table if not exists lake.raw_operations.erased_people (
    person_kind varchar, person_id varchar, erased_at timestamp
);
create table if not exists lake.raw_operations.roster (
    coach_email varchar, tutor_id varchar, snapshot_at timestamp
);
create table if not exists lake.ml.demand_forecasts (
    subject_id varchar, hour_start_at timestamp, forecast_origin_date date, model_version varchar,
    is_champion boolean, expected_sessions double, lower_95 double, upper_95 double
);
create table if not exists lake.ml.supply_demand_risks (
    subject_id varchar, hour_start_at timestamp, forecast_origin_date date, model_version varchar,
    supply_hours double, demand_hours double, ratio double,
    p_shortage double, p_surplus double, expected_unmet_sessions double
);
create table if not exists lake.ml.forecast_refusals (
    subject_id varchar, forecast_origin_date date, model_version varchar, not_forecast_reason varchar
);
