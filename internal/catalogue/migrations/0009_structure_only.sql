-- Tables whose rows backups leave out, as patterns beside those of the site's kind, or none at all.
ALTER TABLE sites ADD COLUMN structure_only TEXT NOT NULL DEFAULT '[]';
ALTER TABLE sites ADD COLUMN all_rows INTEGER NOT NULL DEFAULT 0;
