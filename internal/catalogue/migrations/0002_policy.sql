-- A spread of -1 stands for none given.
CREATE TABLE schedules (
    name        TEXT PRIMARY KEY,
    cron        TEXT NOT NULL,
    zone        TEXT NOT NULL,
    time_window TEXT NOT NULL,
    spread      INTEGER NOT NULL,
    skip        INTEGER NOT NULL,
    disabled    INTEGER NOT NULL,
    everything  INTEGER NOT NULL,
    client      TEXT NOT NULL,
    sites       TEXT NOT NULL,
    format      TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A site may be gone; its state goes with the schedule.
CREATE TABLE schedule_states (
    schedule  TEXT NOT NULL REFERENCES schedules (name) ON DELETE CASCADE,
    site      TEXT NOT NULL,
    handled   INTEGER NOT NULL,
    pending   INTEGER NOT NULL,
    task_id   TEXT NOT NULL,
    run_at    INTEGER NOT NULL,
    missed    INTEGER NOT NULL,
    missed_at INTEGER NOT NULL,
    why       TEXT NOT NULL,
    PRIMARY KEY (schedule, site)
) STRICT, WITHOUT ROWID;

CREATE TABLE retentions (
    client   TEXT NOT NULL,
    site     TEXT NOT NULL,
    last     INTEGER NOT NULL,
    hourly   INTEGER NOT NULL,
    daily    INTEGER NOT NULL,
    weekly   INTEGER NOT NULL,
    monthly  INTEGER NOT NULL,
    yearly   INTEGER NOT NULL,
    min_age  INTEGER NOT NULL,
    safety   INTEGER NOT NULL,
    zone     TEXT NOT NULL,
    max_size INTEGER NOT NULL,
    PRIMARY KEY (client, site)
) STRICT, WITHOUT ROWID;

-- Moments that the master remembers by name.
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- For retention: all that it needs of a backup, by site, newest first.
CREATE INDEX backups_retention ON backups (site, created_at DESC, id DESC, client, size, pinned, origin, warnings, check_problem);
