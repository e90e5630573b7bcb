CREATE TABLE autoremed_attempts (
    `key` VARCHAR(64) NOT NULL,
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
    patched BOOL,
    patch_key VARCHAR(64),
    started_at VARCHAR(32),
    recorded_at VARCHAR(32) NOT NULL,
    PRIMARY KEY (`key`)
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_autoremed_attempts_instance_key ON autoremed_attempts (instance_key);

CREATE INDEX ix_autoremed_attempts_patch_key ON autoremed_attempts (patch_key);

CREATE INDEX ix_autoremed_attempts_recorded ON autoremed_attempts (deployment, recorded_at);

CREATE INDEX ix_autoremed_attempts_task ON autoremed_attempts (deployment, dag_id, task_id);

CREATE TABLE autoremed_decisions (
    `key` VARCHAR(64) NOT NULL,
    action VARCHAR(32) NOT NULL,
    mode VARCHAR(32) NOT NULL,
    category VARCHAR(250) NOT NULL,
    rule VARCHAR(250),
    restartable VARCHAR(32) NOT NULL,
    memory_configuration BOOL NOT NULL,
    reason TEXT NOT NULL,
    decided_by VARCHAR(64) NOT NULL,
    `lines` TEXT NOT NULL,
    conf TEXT NOT NULL,
    changes TEXT NOT NULL,
    excerpt TEXT NOT NULL,
    decided_at VARCHAR(32) NOT NULL,
    max_tries INTEGER,
    template TEXT,
    template_id VARCHAR(16),
    opinion TEXT,
    PRIMARY KEY (`key`)
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE TABLE autoremed_grants (
    `key` VARCHAR(64) NOT NULL,
    deployment VARCHAR(64) NOT NULL,
    dag_id VARCHAR(250) NOT NULL,
    extra_bytes BIGINT NOT NULL,
    held_until VARCHAR(32) NOT NULL,
    PRIMARY KEY (`key`)
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_autoremed_grants_held ON autoremed_grants (deployment, held_until);

CREATE TABLE autoremed_meta (
    name VARCHAR(64) NOT NULL,
    value VARCHAR(255) NOT NULL,
    PRIMARY KEY (name)
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE TABLE autoremed_outcomes (
    `key` VARCHAR(64) NOT NULL,
    succeeded BOOL NOT NULL,
    ended_at VARCHAR(32) NOT NULL,
    duration_s FLOAT,
    gib_seconds FLOAT,
    PRIMARY KEY (`key`)
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE TABLE autoremed_patch_changes (
    id INTEGER NOT NULL AUTO_INCREMENT,
    patch_key VARCHAR(64) NOT NULL,
    at VARCHAR(32) NOT NULL,
    who VARCHAR(250) NOT NULL,
    from_state VARCHAR(16),
    to_state VARCHAR(16) NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (id)
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_autoremed_patch_changes_patch_key ON autoremed_patch_changes (patch_key);

CREATE TABLE autoremed_patches (
    `key` VARCHAR(64) NOT NULL,
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
    succeeded BOOL,
    settled_at VARCHAR(32),
    last_used_at VARCHAR(32),
    PRIMARY KEY (`key`)
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_autoremed_patches_category ON autoremed_patches (deployment, category);

CREATE INDEX ix_autoremed_patches_task ON autoremed_patches (deployment, dag_id, task_id);

CREATE TABLE autoremed_alembic_version (
    version_num VARCHAR(32) NOT NULL,
    PRIMARY KEY (version_num)
);

INSERT INTO autoremed_alembic_version (version_num) VALUES ('0002');
