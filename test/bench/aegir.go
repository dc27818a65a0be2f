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

func newAegir(ctx context.Context, w *world, name string) (*aegir, error) {
	r, err := w.openRemote(ctx)
	if err != nil {
		return nil, err
	}
	a := &aegir{w: w, remote: r, target: filepath.Join(w.web.Root, "aegir-restored")}
	if a.staging, err = w.part(name + "-staging"); err != nil {
		return nil, err
	}
	if a.out, err = w.part(name); err != nil {
		return nil, err
	}
	// Staging is in step from an earlier backup, as it is on any but the first.
	return a, a.fetch(ctx, newMeter())
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

// aegirBackup makes a tarball of the site as it is, for restores; it is not measured.
func (w *world) aegirBackup(ctx context.Context) (*aegir, error) {
	a, err := newAegir(ctx, w, "aegir")
	if err != nil {
		return nil, err
	}
	return a, a.backup(ctx, newMeter(), "pigz", "-c")
}
