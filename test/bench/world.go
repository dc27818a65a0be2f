package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	files   string         // the name of the site that is the same directory without the database
	static  string         // the same, with a virtual host
	own     bool           // the bed's directory is ours to remove
	row     string         // the directory of the row that is measured
	undo    []func() error // what ends with the row, the youngest last
	trash   int

	remote   *remote    // made when first asked for
	sitekeep *sitekeep  // likewise
	base     *aegirBase // likewise
	rand     *rand.Rand // of changes to the site
	changes  int        // that were made for good
}

func newWorld(ctx context.Context, o *options, log io.Writer) (*world, error) {
	w := &world{options: o, domain: "bench.example.com", files: "files.bench.example.com", static: "static.bench.example.com",
		rand: rand.New(rand.NewPCG(corpusSeed, 3))}
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

// poolMiB is the database server's buffer pool, in MiB: the cache is warm, for every side, if it holds the database.
const poolMiB = 512

func bufferPool(mib int) string { return fmt.Sprintf("--innodb-buffer-pool-size=%dM", mib) }

func (w *world) fill(ctx context.Context) error {
	var err error
	if w.corpus, err = loadCorpus(ctx, w.bed); err != nil {
		return fmt.Errorf("corpus: %w", err)
	}
	if w.db, err = w.bed.MariaDBFrom(ctx, "db1", filepath.Join(w.corpus.dir, "data"), bufferPool(poolMiB)); err != nil {
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
	return w.writePage(files)
}

// writePage writes files of the site's own directory, as the web server's.
func (w *world) writePage(files map[string]string) error {
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

// part makes a directory for archives and the like, which goes with the row.
func (w *world) part(name string) (string, error) {
	dir := filepath.Join(w.row, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// beginRow gives parts a place of their own.
func (w *world) beginRow(name string) error {
	w.row = filepath.Join(w.bed.Dir(), "bench", name)
	return os.MkdirAll(w.row, 0o755)
}

// atRowEnd has f called when the row that is measured has ended, however it did.
func (w *world) atRowEnd(f func() error) { w.undo = append(w.undo, f) }

func (w *world) undoRow() error {
	var errs []error
	for i := len(w.undo) - 1; i >= 0; i-- {
		errs = append(errs, w.undo[i]())
	}
	w.undo = nil
	return errors.Join(errs...)
}

// endRow removes what the row left, so that one row's archives are not in the
// way of the next: all parts, and our own backups but the newest.
func (w *world) endRow(ctx context.Context) error {
	err := errors.Join(w.undoRow(), os.RemoveAll(w.row))
	if s := w.sitekeep; s != nil {
		err = errors.Join(err, s.forget(ctx, w.domain), s.forget(ctx, w.files), s.forget(ctx, w.static))
	}
	return err
}

// aside moves a tree out of the way and makes an empty directory in its place:
// on ext4, writing a tree right after the removal of one like it takes three
// times as long. What was moved goes with the row.
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
	err := errors.Join(w.undoRow(), w.bed.Close())
	if w.own {
		err = errors.Join(err, os.RemoveAll(w.bed.Dir()))
	}
	return err
}
