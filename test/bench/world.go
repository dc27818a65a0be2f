package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sitekeep/sitekeep/test/bed"
)

// world is what all rows share: the site on its web server and its database
// server, and a place for each side's archives.
type world struct {
	options *options
	bed     *bed.Bed
	corpus  *corpus
	db      *bed.MariaDB
	web     *bed.Web
	site    string // the site's directory
	domain  string
	own     bool // the directory is ours to remove
	trash   int

	remote   *remote   // made when first asked for
	sitekeep *sitekeep // likewise
}

func newWorld(ctx context.Context, o *options, log io.Writer) (*world, error) {
	w := &world{options: o, domain: "bench.example.com"}
	dir := o.dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "sk-bench-"); err != nil {
			return nil, err
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			return nil, err
		}
		w.own = true
	}
	var err error
	if w.bed, err = bed.Start(ctx, dir, log); err != nil {
		return nil, err
	}
	if err := w.fill(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) fill(ctx context.Context) error {
	var err error
	if w.corpus, err = loadCorpus(ctx, w.bed); err != nil {
		return fmt.Errorf("corpus: %w", err)
	}
	if w.db, err = w.bed.MariaDBFrom(ctx, "db1", filepath.Join(w.corpus.dir, "data")); err != nil {
		return err
	}
	if w.web, err = w.bed.Web(ctx, "web1"); err != nil {
		return err
	}
	w.site = filepath.Join(w.web.Root, w.domain)
	if err := bed.CopyTree(ctx, filepath.Join(w.corpus.dir, "tree"), w.site); err != nil {
		return err
	}
	return w.configure(ctx)
}

// configure gives the site a user, its settings, and a page that needs the
// database.
func (w *world) configure(ctx context.Context) error {
	password := bed.Secret()
	err := w.db.Exec(ctx,
		"CREATE USER bench@127.0.0.1 IDENTIFIED BY '"+password+"'",
		"GRANT ALL PRIVILEGES ON "+benchDatabase+".* TO bench@127.0.0.1")
	if err != nil {
		return err
	}
	config := fmt.Sprintf("<?php\ndefine('DB_NAME', '%s');\ndefine('DB_USER', 'bench');\ndefine('DB_PASSWORD', '%s');\ndefine('DB_HOST', '%s');\n"+
		"$table_prefix = 'wp_';\nrequire_once __DIR__ . '/wp-settings.php';\n", benchDatabase, password, w.db.Addr)
	files := map[string]string{
		"wp-config.php":   config,
		"wp-settings.php": "<?php\nmysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);\n",
		"index.php": "<?php\nrequire 'wp-config.php';\n[$host, $port] = explode(':', DB_HOST);\n" +
			"$db = new mysqli($host, DB_USER, DB_PASSWORD, DB_NAME, (int) $port);\n" +
			"echo 'posts: ' . $db->query('SELECT COUNT(*) FROM wp_posts')->fetch_row()[0] . \"\\n\";\n",
	}
	for name, text := range files {
		path := filepath.Join(w.site, name)
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			return err
		}
		if err := os.Chown(path, bed.Nobody, bed.Nogroup); err != nil {
			return err
		}
	}
	return nil
}

// database is the one that the site uses now: a restore of ours gives it another.
func (w *world) database() (string, error) {
	config, err := bed.ReadConfig(filepath.Join(w.site, "wp-config.php"))
	return config["DB_NAME"], err
}

// anySettings leaves the credentials out of comparisons.
func anySettings(w *bed.TreeWalk) {
	bed.Normalise("wp-config.php", func([]byte) []byte { return nil })(w)
}

// part makes a directory below the bed's for archives and the like.
func (w *world) part(name string) (string, error) {
	dir := filepath.Join(w.bed.Dir(), "bench", name)
	return dir, os.MkdirAll(dir, 0o755)
}

// aside moves a tree out of the way and makes an empty directory in its place:
// on ext4, writing a tree right after the removal of one like it takes three
// times as long. What was moved goes with the bed.
func (w *world) aside(path string) error {
	trash, err := w.part("trash")
	if err != nil {
		return err
	}
	w.trash++
	err = os.Rename(path, filepath.Join(trash, fmt.Sprint(w.trash)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Mkdir(path, 0o755)
}

func (w *world) close() error {
	err := w.bed.Close()
	if w.own {
		err = errors.Join(err, os.RemoveAll(w.bed.Dir()))
	}
	return err
}
