package bed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Wreck does to a site what its owner fears: tables are dropped and emptied,
// uploads deleted, the theme scribbled over, wp-config.php broken, a stranger's
// file planted. It fails if the site still shows its posts.
func (s *WordPress) Wreck(ctx context.Context) error {
	err := errors.Join(s.WreckTables(ctx), s.DeleteUploads(), s.WreckFiles(), s.BreakConfig(), s.Web.ReloadPHP(ctx))
	if err != nil {
		return fmt.Errorf("wreck %s: %w", s.Name, err)
	}
	if s.CheckPages(ctx) == nil {
		return fmt.Errorf("wreck %s: the site still shows its pages", s.Name)
	}
	return nil
}

// WreckTables drops a table, empties another and changes rows of a third.
func (s *WordPress) WreckTables(ctx context.Context) error {
	in := func(table string) string { return Ident(s.Database) + "." + Ident(table) }
	return s.DB.Exec(ctx,
		"DROP TABLE "+in("wp_posts"), "DELETE FROM "+in("wp_postmeta"),
		"UPDATE "+in("wp_options")+" SET option_value = 'owned' WHERE option_name = 'blogname'",
		"CREATE TABLE "+in("wp_stranger")+" (a INT)")
}

// DeleteUploads deletes the uploads, the directory included.
func (s *WordPress) DeleteUploads() error {
	return os.RemoveAll(filepath.Join(s.Root, "wp-content", "uploads"))
}

// WreckFiles scribbles over the theme, changes modes and owners, and plants a
// file.
func (s *WordPress) WreckFiles() error {
	theme := filepath.Join(s.Root, "wp-content", "themes", "twentytwentythree")
	return errors.Join(
		os.WriteFile(filepath.Join(theme, "templates", "home.html"), []byte("owned"), 0o666),
		os.Chmod(filepath.Join(theme, "style.css"), 0o777),
		os.Lchown(filepath.Join(s.Root, "index.php"), 0, 0),
		os.WriteFile(filepath.Join(s.Root, "stranger.php"), []byte("<?php\n"), 0o644))
}

// BreakConfig leaves a wp-config.php that PHP refuses.
func (s *WordPress) BreakConfig() error {
	return os.WriteFile(s.ConfigPath(), []byte("<?php define('DB_NAME', \n"), 0o640)
}
