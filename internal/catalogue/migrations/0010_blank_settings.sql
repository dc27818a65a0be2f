-- Backups have the settings files of these sites with an empty password.
ALTER TABLE sites ADD COLUMN blank_settings INTEGER NOT NULL DEFAULT 0;
