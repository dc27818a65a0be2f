package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/sitekeep/sitekeep/test/bed"
)

// aegir does what the Aegir hosting system does for a backup and a restore:
// the web server's files are kept in step with a copy on the master by rsync
// over ssh, the dump comes over TCP into that copy, and tar and gzip make the
// tarball; and back.
type aegir struct {
	w       *world
	remote  *remote
	staging string
	out     string // directory of tarballs
	n       int
}

func newAegir(ctx context.Context, w *world, name string) (*aegir, error) {
	r, err := w.openRemote(ctx)
	if err != nil {
		return nil, err
	}
	a := &aegir{w: w, remote: r}
	if a.staging, err = w.part(name + "-staging"); err != nil {
		return nil, err
	}
	if a.out, err = w.part(name); err != nil {
		return nil, err
	}
	// Staging is in step from an earlier backup, as it is on any but the first.
	return a, a.fetch(ctx, &meter{})
}

func (a *aegir) fetch(ctx context.Context, m *meter) error {
	return m.run(tool(ctx, nil, "rsync", "-a", "--omit-dir-times", "--delete", "-e", a.remote.ssh,
		a.remote.path(a.w.site), a.staging+"/"))
}

// tarball is the path of the last one.
func (a *aegir) tarball() string { return filepath.Join(a.out, fmt.Sprintf("%d.tar", a.n)) }

// backup makes the next tarball; compress ends a pipeline that begins with tar.
func (a *aegir) backup(ctx context.Context, m *meter, compress ...string) error {
	a.n++
	if err := m.watch(a.remote.pid); err != nil {
		return err
	}
	if err := a.fetch(ctx, m); err != nil {
		return err
	}
	sql := filepath.Join(a.staging, "database.sql")
	if err := a.w.dumpTo(ctx, m, sql); err != nil {
		return err
	}
	f, err := os.Create(a.tarball())
	if err != nil {
		return err
	}
	last := tool(ctx, nil, compress...)
	last.Stdout = f
	err = m.pipe(tool(ctx, nil, "tar", "-C", a.staging, "-cf", "-", "."), last)
	return errors.Join(err, f.Close(), os.Remove(sql))
}

func (a *aegir) size(context.Context) (int64, error) {
	info, err := os.Stat(a.tarball())
	if err != nil {
		return 0, err
	}
	if info.Size() < a.w.corpus.Bytes/2 {
		return 0, fmt.Errorf("%s has only %d bytes", a.tarball(), info.Size())
	}
	return info.Size(), nil
}

// side is a row's side with one way of compressing.
func (a *aegir) side(name string, goal float64, compress ...string) *side {
	return &side{
		name: name, goal: goal, check: a.size,
		work: func(ctx context.Context, m *meter) error { return a.backup(ctx, m, compress...) },
	}
}

// untar unpacks the last tarball, a gzip one, into the emptied staging copy.
func (a *aegir) untar(ctx context.Context, m *meter) error {
	unzip := tool(ctx, nil, "gzip", "-dc", a.tarball())
	return m.pipe(unzip, tool(ctx, nil, "tar", "-C", a.staging, "-xpf", "-"))
}

// push brings staging to a directory on the web server.
func (a *aegir) push(ctx context.Context, m *meter, to string) error {
	if err := m.watch(a.remote.pid); err != nil {
		return err
	}
	return m.run(tool(ctx, nil, "rsync", "-a", "--delete", "--exclude=/database.sql", "-e", a.remote.ssh, a.staging+"/", a.remote.path(to)))
}

// restore is untar, import and push, one after the other.
func (a *aegir) restore(ctx context.Context, m *meter, database, to string) error {
	if err := a.untar(ctx, m); err != nil {
		return err
	}
	if err := a.w.importFrom(ctx, m, database, filepath.Join(a.staging, "database.sql")); err != nil {
		return err
	}
	return a.push(ctx, m, to)
}

// credentials is a file for --defaults-extra-file that is read once.
func (w *world) credentials(cmd *exec.Cmd) (func(), error) {
	r, wr, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(wr, "[client]\nuser=root\npassword=%s\nhost=%s\nport=%d\nprotocol=tcp\n",
		w.db.Password, w.db.Addr.Addr(), w.db.Addr.Port())
	if err := errors.Join(err, wr.Close()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	cmd.ExtraFiles = []*os.File{r}
	return func() { _ = r.Close() }, nil
}

// dump prepares mariadb-dump over TCP with Aegir's options.
func (w *world) dump(ctx context.Context) (*exec.Cmd, func(), error) {
	database, err := w.database()
	if err != nil {
		return nil, nil, err
	}
	cmd := tool(ctx, nil, "mariadb-dump", "--defaults-extra-file=/dev/fd/3", "--single-transaction", "--quick",
		"--no-autocommit", database)
	end, err := w.credentials(cmd)
	return cmd, end, err
}

func (w *world) dumpTo(ctx context.Context, m *meter, path string) error {
	cmd, end, err := w.dump(ctx)
	if err != nil {
		return err
	}
	defer end()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	cmd.Stdout = f
	return errors.Join(m.run(cmd), f.Close())
}

func (w *world) importFrom(ctx context.Context, m *meter, database, path string) error {
	cmd := tool(ctx, nil, "mariadb", "--defaults-extra-file=/dev/fd/3", database)
	end, err := w.credentials(cmd)
	if err != nil {
		return err
	}
	defer end()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	cmd.Stdin = f
	return m.run(cmd)
}

// sameSite compares a restored tree, and tables unless database is empty, with
// the live site.
func (w *world) sameSite(ctx context.Context, tree, database string) error {
	want, err := bed.Tree(w.site, anySettings)
	if err != nil {
		return err
	}
	got, err := bed.Tree(tree, anySettings)
	if err != nil {
		return err
	}
	if d := coarse(want).Diff(coarse(got)); d != "" {
		return fmt.Errorf("the restored tree differs:\n%s", d)
	}
	if database == "" {
		return nil
	}
	live, err := w.database()
	if err != nil {
		return err
	}
	tables, err := w.db.Tables(ctx, live)
	if err != nil {
		return err
	}
	restored, err := w.db.Tables(ctx, database)
	if err != nil {
		return err
	}
	if d := tables.Diff(restored); d != "" {
		return fmt.Errorf("the restored tables differ:\n%s", d)
	}
	return nil
}

// coarse leaves out what a peer does not bring back: times of directories, and
// fractions of a second, which GNU tar's own format has no room for.
func coarse(p bed.Print) bed.Print {
	out := make(bed.Print, len(p))
	for i, line := range p {
		out[i] = fraction.ReplaceAllString(directoryTime.ReplaceAllString(line, "$1"), "$1")
	}
	return out
}

var (
	// A directory's mode begins with 04 (stat(2), S_IFDIR).
	directoryTime = regexp.MustCompile(`^(".*" 04\d{4} \S+) .*`)
	fraction      = regexp.MustCompile(`^(".*" \d{6} \S+ \d+)\.\d{9}`)
)
