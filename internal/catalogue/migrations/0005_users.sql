-- People who sign in to the pages. phc is the hash of a password, in the PHC string format.
CREATE TABLE users (
    name       TEXT PRIMARY KEY,
    phc        TEXT NOT NULL,
    role       TEXT NOT NULL,
    client     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- hash is that of the cookie; the cookie itself is nowhere.
CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    user       TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user);
CREATE INDEX sessions_seen ON sessions (seen_at);
