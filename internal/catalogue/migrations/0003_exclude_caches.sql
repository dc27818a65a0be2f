-- Whether backups leave out what CACHEDIR.TAG marks.
ALTER TABLE sites ADD COLUMN exclude_caches INTEGER NOT NULL DEFAULT 0;
