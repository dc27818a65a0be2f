-- What a schedule begins: '' for backups, or 'drill'.
ALTER TABLE schedules ADD COLUMN kind TEXT NOT NULL DEFAULT '';

-- The last drill of each site that has shown anything. It outlives its backup.
CREATE TABLE drills (
    site    TEXT PRIMARY KEY,
    backup  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    problem TEXT NOT NULL
) STRICT, WITHOUT ROWID;
