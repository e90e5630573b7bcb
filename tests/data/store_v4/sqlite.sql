CREATE TABLE autoremed_attempts (
    "key" VARCHAR(64) NOT NULL,
    instance_key VARCHAR(64) NOT NULL,
    deployment VARCHAR(64) NOT NULL,
    dag_id VARCHAR(250) NOT NULL,
    run_id VARCHAR(250) NOT NULL,
    task_id VARCHAR(250) NOT NULL,
    map_index INTEGER NOT NULL,
    try_number INTEGER NOT NULL,
    operator VARCHAR(250),
    baseline TEXT,
    effective TEXT,
    fingerprint VARCHAR(64),
    patched BOOLEAN,
    patch_key VARCHAR(64),
    started_at VARCHAR(32),
    recorded_at VARCHAR(32) NOT NULL,
    max_tries INTEGER,
    interrupted_at VARCHAR(32),
    source VARCHAR(16),
    PRIMARY KEY ("key")
);

CREATE INDEX ix_autoremed_attempts_instance_key ON autoremed_attempts (instance_key);

CREATE INDEX ix_autoremed_attempts_patch_key ON autoremed_attempts (patch_key);

CREATE INDEX ix_autoremed_attempts_recorded ON autoremed_attempts (deployment, recorded_at);

CREATE INDEX ix_autoremed_attempts_started ON autoremed_attempts (deployment, started_at);

CREATE INDEX ix_autoremed_attempts_task ON autoremed_attempts (deployment, dag_id, task_id);

CREATE TABLE autoremed_decisions (
    "key" VARCHAR(64) NOT NULL,
    action VARCHAR(32) NOT NULL,
    mode VARCHAR(32) NOT NULL,
    category VARCHAR(250) NOT NULL,
    rule VARCHAR(250),
    restartable VARCHAR(32) NOT NULL,
    memory_configuration BOOLEAN NOT NULL,
    reason TEXT NOT NULL,
    decided_by VARCHAR(64) NOT NULL,
    lines TEXT NOT NULL,
    conf TEXT NOT NULL,
    changes TEXT NOT NULL,
    excerpt TEXT NOT NULL,
    decided_at VARCHAR(32) NOT NULL,
    max_tries INTEGER,
    template TEXT,
    template_id VARCHAR(16),
    opinion TEXT,
    PRIMARY KEY ("key")
);

CREATE TABLE autoremed_grants (
    "key" VARCHAR(64) NOT NULL,
    deployment VARCHAR(64) NOT NULL,
    dag_id VARCHAR(250) NOT NULL,
    extra_bytes BIGINT NOT NULL,
    held_until VARCHAR(32) NOT NULL,
    PRIMARY KEY ("key")
);

CREATE INDEX ix_autoremed_grants_held ON autoremed_grants (deployment, held_until);

CREATE TABLE autoremed_meta (
    name VARCHAR(64) NOT NULL,
    value VARCHAR(255) NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE autoremed_outcomes (
    "key" VARCHAR(64) NOT NULL,
    succeeded BOOLEAN NOT NULL,
    ended_at VARCHAR(32) NOT NULL,
    duration_s FLOAT,
    gib_seconds FLOAT,
    PRIMARY KEY ("key")
);

CREATE TABLE autoremed_patch_changes (
    id INTEGER NOT NULL,
    patch_key VARCHAR(64) NOT NULL,
    at VARCHAR(32) NOT NULL,
    who VARCHAR(250) NOT NULL,
    from_state VARCHAR(16),
    to_state VARCHAR(16) NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX ix_autoremed_patch_changes_patch_key ON autoremed_patch_changes (patch_key);

CREATE TABLE autoremed_patches (
    "key" VARCHAR(64) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    deployment VARCHAR(64) NOT NULL,
    dag_id VARCHAR(250) NOT NULL,
    run_id VARCHAR(250) NOT NULL,
    task_id VARCHAR(250) NOT NULL,
    map_index INTEGER NOT NULL,
    fingerprint VARCHAR(64) NOT NULL,
    from_try INTEGER NOT NULL,
    operations TEXT NOT NULL,
    created_at VARCHAR(32) NOT NULL,
    state VARCHAR(16) NOT NULL,
    state_at VARCHAR(32) NOT NULL,
    category VARCHAR(250) NOT NULL,
    succeeded BOOLEAN,
    settled_at VARCHAR(32),
    last_used_at VARCHAR(32),
    PRIMARY KEY ("key")
);

CREATE INDEX ix_autoremed_patches_category ON autoremed_patches (deployment, category);

CREATE INDEX ix_autoremed_patches_task ON autoremed_patches (deployment, dag_id, task_id);

CREATE TABLE autoremed_run_metrics (
    "key" VARCHAR(64) NOT NULL,
    deployment VARCHAR(64) NOT NULL,
    attempt_key VARCHAR(64) NOT NULL,
    log_key VARCHAR(64) NOT NULL,
    log_stamp VARCHAR(64) NOT NULL,
    recorded_at VARCHAR(32) NOT NULL,
    app_id VARCHAR(250),
    app_name VARCHAR(250),
    attempt_id VARCHAR(250),
    user VARCHAR(250),
    spark_version VARCHAR(64),
    started_at VARCHAR(32),
    ended_at VARCHAR(32),
    ended BOOLEAN NOT NULL,
    complete BOOLEAN NOT NULL,
    failure TEXT,
    task_failure TEXT,
    executor_loss TEXT,
    jobs BIGINT NOT NULL,
    failed_jobs BIGINT NOT NULL,
    stages BIGINT NOT NULL,
    failed_stages BIGINT NOT NULL,
    tasks BIGINT NOT NULL,
    failed_tasks BIGINT NOT NULL,
    executors_added BIGINT NOT NULL,
    executors_lost BIGINT NOT NULL,
    most_executors BIGINT NOT NULL,
    memory_spilled BIGINT NOT NULL,
    disk_spilled BIGINT NOT NULL,
    input_bytes BIGINT NOT NULL,
    input_records BIGINT NOT NULL,
    output_bytes BIGINT NOT NULL,
    shuffle_read_bytes BIGINT NOT NULL,
    shuffle_write_bytes BIGINT NOT NULL,
    result_bytes BIGINT NOT NULL,
    peak_heap BIGINT,
    peak_driver_heap BIGINT,
    peak_jvm_off_heap BIGINT,
    peak_off_heap BIGINT,
    peak_direct BIGINT,
    peak_python BIGINT,
    peak_rss BIGINT,
    peak_overhead BIGINT,
    peak_driver_rss BIGINT,
    peak_execution BIGINT,
    task_seconds FLOAT NOT NULL,
    cpu_seconds FLOAT NOT NULL,
    gc_share FLOAT,
    skew FLOAT,
    executor_seconds FLOAT,
    core_seconds FLOAT,
    gib_seconds FLOAT,
    PRIMARY KEY ("key")
);

CREATE INDEX ix_autoremed_run_metrics_attempt_key ON autoremed_run_metrics (attempt_key);

CREATE INDEX ix_autoremed_run_metrics_log_key ON autoremed_run_metrics (log_key);

CREATE INDEX ix_autoremed_run_metrics_recorded ON autoremed_run_metrics (deployment, recorded_at);

CREATE TABLE autoremed_alembic_version (
    version_num VARCHAR(32) NOT NULL,
    PRIMARY KEY (version_num)
);

INSERT INTO autoremed_alembic_version (version_num) VALUES ('0004');
