-- Times are nanoseconds since 1970 UTC, 0 for none. Lists are JSON arrays.
-- No column may hold a secret: tokens are hashes, databases are names.

CREATE TABLE servers (
    name      TEXT PRIMARY KEY,
    roles     TEXT NOT NULL,
    address   TEXT NOT NULL,
    dial_out  INTEGER NOT NULL,
    revoked   INTEGER NOT NULL,
    serial    TEXT NOT NULL,
    not_after INTEGER NOT NULL,
    joined_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE certificates (
    serial    TEXT PRIMARY KEY,
    server    TEXT NOT NULL,
    not_after INTEGER NOT NULL,
    revoked   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_server ON certificates (server);

CREATE TABLE join_tokens (
    hash       BLOB PRIMARY KEY,
    name       TEXT NOT NULL,
    roles      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_tokens (
    name       TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    role       TEXT NOT NULL,
    client     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sites (
    name          TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,
    db_server     TEXT NOT NULL,
    root          TEXT NOT NULL,
    docroot       TEXT NOT NULL,
    database_name TEXT NOT NULL,
    database_user TEXT NOT NULL,
    database_host TEXT NOT NULL,
    client        TEXT NOT NULL,
    excludes      TEXT NOT NULL,
    vhost         TEXT NOT NULL,
    disabled      INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sites_client ON sites (client, name);
CREATE INDEX sites_database ON sites (database_name COLLATE NOCASE, db_server);
CREATE INDEX sites_db_server ON sites (db_server);

-- Main names (position 0) and aliases share one table, so that no domain belongs to two sites.
CREATE TABLE site_names (
    name     TEXT PRIMARY KEY,
    site     TEXT NOT NULL REFERENCES sites (name) ON DELETE CASCADE,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX site_names_site ON site_names (site, position);

CREATE TABLE site_web_servers (
    site     TEXT NOT NULL REFERENCES sites (name) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    server   TEXT NOT NULL REFERENCES servers (name),
    PRIMARY KEY (site, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX site_web_servers_server ON site_web_servers (server);

-- A backup outlives its site, so neither site nor client refers to a row.
CREATE TABLE backups (
    id            TEXT PRIMARY KEY,
    site          TEXT NOT NULL,
    client        TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    description   TEXT NOT NULL,
    format        TEXT NOT NULL,
    size          INTEGER NOT NULL,
    new_bytes     INTEGER NOT NULL,
    plain_size    INTEGER NOT NULL,
    files         INTEGER NOT NULL,
    digest        TEXT NOT NULL,
    pinned        INTEGER NOT NULL,
    pin_reason    TEXT NOT NULL,
    origin        TEXT NOT NULL,
    warnings      TEXT NOT NULL,
    tables        INTEGER NOT NULL,
    table_rows    INTEGER NOT NULL,
    task_id       TEXT NOT NULL,
    checked_at    INTEGER NOT NULL DEFAULT 0,
    check_problem TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX backups_newest ON backups (created_at, id);
CREATE INDEX backups_site ON backups (site, created_at, id, size, new_bytes);
CREATE INDEX backups_client ON backups (client, created_at, id);

CREATE TABLE tasks (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which they were asked for, whatever the clock did
    id             TEXT NOT NULL UNIQUE,
    kind           TEXT NOT NULL,
    site           TEXT NOT NULL,
    holds          INTEGER NOT NULL, -- keeps other holding tasks away from its site until it ends
    state          TEXT NOT NULL,
    spec           BLOB,
    result         BLOB,
    error          TEXT NOT NULL,
    error_kind     TEXT NOT NULL,
    hint           TEXT NOT NULL,
    attempt        INTEGER NOT NULL,
    cancel_asked   INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    started_at     INTEGER NOT NULL,
    finished_at    INTEGER NOT NULL,
    progress_step  TEXT NOT NULL,
    progress_done  INTEGER NOT NULL,
    progress_total INTEGER NOT NULL,
    progress_files INTEGER NOT NULL
) STRICT;
CREATE INDEX tasks_site ON tasks (site, seq);
CREATE INDEX tasks_state ON tasks (state, seq);
CREATE INDEX tasks_finished ON tasks (finished_at) WHERE finished_at <> 0;
CREATE UNIQUE INDEX tasks_one_writer ON tasks (site) WHERE state = 'running' AND holds = 1 AND site <> '';

CREATE TABLE task_log (
    task_id TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    level   TEXT NOT NULL,
    text    TEXT NOT NULL,
    PRIMARY KEY (task_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    task_id TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    record  BLOB NOT NULL,
    PRIMARY KEY (task_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE graces (
    task_id TEXT PRIMARY KEY,
    site    TEXT NOT NULL,
    due_at  INTEGER NOT NULL,
    state   TEXT NOT NULL,
    memo    BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX graces_due ON graces (state, due_at);
CREATE INDEX graces_site ON graces (site, due_at);

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL,
    role    TEXT NOT NULL,
    method  TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);
