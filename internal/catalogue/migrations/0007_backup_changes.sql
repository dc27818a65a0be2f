-- Which sites' backups have changed, in the order of their last change: whoever has read all up to a seq is told by those
-- above it what to read again. Triggers write it, so that no way of changing a backup can forget to.
CREATE TABLE backup_changes (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    site TEXT NOT NULL UNIQUE
) STRICT;

CREATE TRIGGER backups_inserted AFTER INSERT ON backups BEGIN
    DELETE FROM backup_changes WHERE site = new.site;
    INSERT INTO backup_changes (site) VALUES (new.site);
END;
CREATE TRIGGER backups_updated AFTER UPDATE OF id, site, client, created_at, size, pinned, origin, warnings, check_problem ON backups BEGIN
    DELETE FROM backup_changes WHERE site IN (old.site, new.site);
    INSERT INTO backup_changes (site) VALUES (new.site);
    INSERT INTO backup_changes (site) SELECT old.site WHERE old.site <> new.site;
END;
CREATE TRIGGER backups_deleted AFTER DELETE ON backups BEGIN
    DELETE FROM backup_changes WHERE site = old.site;
    INSERT INTO backup_changes (site) VALUES (old.site);
END;
