package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	target  string // directory on the web server that a restore goes to
	n       int
}

// newAegir has directories of the row, and staging in step from an earlier
// backup, as it is on any but the first.
func newAegir(ctx context.Context, w *world) (*aegir, error) {
	a, err := openAegir(ctx, w, w.row)
	if err != nil {
		return nil, err
	}
	return a, a.fetch(ctx, newMeter())
}

func openAegir(ctx context.Context, w *world, below string) (*aegir, error) {
	r, err := w.openRemote(ctx)
	if err != nil {
		return nil, err
	}
	a := &aegir{
		w: w, remote: r, staging: filepath.Join(below, "aegir-staging"), out: filepath.Join(below, "aegir"),
		target: filepath.Join(w.web.Root, "aegir-restored"),
	}
	return a, errors.Join(os.MkdirAll(a.staging, 0o755), os.MkdirAll(a.out, 0o755))
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
	if err := m.watch(daemon{pid: a.remote.pid}); err != nil {
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

// checked notes the tarball's size and removes it.
func (a *aegir) checked(_ context.Context, m *meter) error {
	info, err := os.Stat(a.tarball())
	if err != nil {
		return err
	}
	m.note(archiveMB, megabytes(info.Size()))
	return errors.Join(tooSmall(a.tarball(), info.Size(), a.w.corpus.Bytes/2), os.Remove(a.tarball()))
}

// side is a row's side with one way of compressing.
func (a *aegir) side(compress ...string) *side {
	return &side{
		check: a.checked,
		work:  func(ctx context.Context, m *meter) error { return a.backup(ctx, m, compress...) },
	}
}

// untar unpacks the last tarball, a gzip one, into the emptied staging copy.
func (a *aegir) untar(ctx context.Context, m *meter) error {
	unzip := tool(ctx, nil, "gzip", "-dc", a.tarball())
	return m.pipe(unzip, tool(ctx, nil, "tar", "-C", a.staging, "-xpf", "-"))
}

// push brings staging to the target.
func (a *aegir) push(ctx context.Context, m *meter) error {
	if err := m.watch(daemon{pid: a.remote.pid}); err != nil {
		return err
	}
	return m.run(tool(ctx, nil, "rsync", "-a", "--delete", "--exclude=/database.sql", "-e", a.remote.ssh, a.staging+"/", a.remote.path(a.target)))
}

// restore is untar, import and push, one after the other.
func (a *aegir) restore(ctx context.Context, m *meter, database string) error {
	if err := a.untar(ctx, m); err != nil {
		return err
	}
	if err := a.w.importFrom(ctx, m, database, filepath.Join(a.staging, "database.sql")); err != nil {
		return err
	}
	return a.push(ctx, m)
}

// prepareRestore empties both directories that a restore writes.
func (a *aegir) prepareRestore() error {
	if err := a.w.aside(a.staging); err != nil {
		return err
	}
	return a.w.aside(a.target)
}

// aegirBase is a tarball that several rows restore, while the site stays as it
// was when it was made.
type aegirBase struct {
	*aegir
	changes int
}

// aegirBackup makes a tarball of the site as it is, for restores, unless there
// is one; it is not measured.
func (w *world) aegirBackup(ctx context.Context) (*aegir, error) {
	if w.base != nil && w.base.changes == w.changes {
		return w.base.aegir, nil
	}
	// Rows end, this stays.
	a, err := openAegir(ctx, w, filepath.Join(w.bed.Dir(), "bench", "base"))
	if err != nil {
		return nil, err
	}
	if err := a.backup(ctx, newMeter(), "pigz", "-c"); err != nil {
		return nil, err
	}
	w.base = &aegirBase{aegir: a, changes: w.changes}
	return a, nil
}
