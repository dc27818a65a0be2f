package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// spareInodes is what a backup may need: directory, tarball, sidecar and spools.
const spareInodes = 16

// pending is a Pending in a directory.
type pending struct {
	store    *Local
	id       string
	dir      string
	tarball  string // the path when it is complete; markMade follows until it is recorded
	estimate int64
	file     *os.File
	spools   map[string]*os.File

	placed []string // of tarball and sidecar, what is in place by our doing, tarball first
	ended  bool
}

// Create begins a backup that may take estimate bytes (0 if nobody knows).
// errs.Exists if the id is taken, complete or in the making; errs.NoSpace if
// room for it, for the others in the making and for the reserve is not there.
func (l *Local) Create(ctx context.Context, id, format string, estimate int64) (Pending, error) {
	tarball, err := l.tarball(id, format)
	if err != nil {
		return nil, err
	}
	p := &pending{store: l, id: id, dir: filepath.Dir(tarball), tarball: tarball, estimate: estimate, spools: map[string]*os.File{}}
	if err := l.admit(ctx, p); err != nil {
		return nil, fmt.Errorf("begin backup %s: %w", id, err)
	}
	if err := p.begin(); err != nil {
		l.dismiss(p)
		return nil, fmt.Errorf("begin backup %s: %w", id, err)
	}
	return p, nil
}

// admit takes p among those in the making, if its id is free and there is room.
func (l *Local) admit(ctx context.Context, p *pending) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending[p.id] != nil {
		return taken(p.id)
	}
	free, err := l.Free(ctx)
	if err != nil {
		return err
	}
	for _, other := range l.pending {
		free.Bytes -= max(0, other.estimate-other.written())
	}
	if free.Bytes < l.reserve+p.estimate {
		return errs.New(errs.NoSpace, noSpaceHint, "the store has %d MiB left; this backup may need %d, and %d are kept in reserve",
			free.Bytes>>20, p.estimate>>20, l.reserve>>20)
	}
	if free.Inodes < spareInodes {
		return errs.New(errs.NoSpace, noSpaceHint, "the store's file system has only %d inodes left", free.Inodes)
	}
	l.pending[p.id] = p
	return nil
}

func (l *Local) dismiss(p *pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, p.id)
}

func taken(id string) error {
	return errs.New(errs.Exists, "try again with another id", "backup %s is in the store already", id)
}

func (p *pending) begin() error {
	if err := os.Mkdir(p.dir, 0o700); err == nil {
		err = p.store.syncDir(p.store.dir)
		if err != nil {
			return WriteError(p.dir, err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return WriteError(p.dir, err)
	}
	for _, suffix := range append(formats(), sidecarSuffix[1:]) {
		if _, err := os.Lstat(filepath.Join(p.dir, p.id+"."+suffix)); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(taken(p.id), err)
		}
	}
	var err error
	p.file, err = createNew(p.tarball + markMade)
	if errors.Is(err, fs.ErrExist) {
		return taken(p.id)
	}
	return WriteError(p.tarball, err)
}

func createNew(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// written is how many bytes lie in the file system already. It runs under the
// store's lock, in others' goroutines, so it asks the names and not the files.
func (p *pending) written() int64 {
	info, err := os.Lstat(p.tarball + markMade)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (p *pending) ID() string     { return p.id }
func (p *pending) File() *os.File { return p.file }

func (p *pending) spoolPath(name string) string {
	return filepath.Join(p.dir, p.id+"."+name+spoolSuffix)
}

func (p *pending) Spool(name string) (*os.File, error) {
	if f := p.spools[name]; f != nil {
		return f, nil
	}
	if !spoolName.MatchString(name) || p.ended {
		return nil, errs.New(errs.Usage, "", "backup %s can have no spool %q", p.id, name)
	}
	f, err := createNew(p.spoolPath(name))
	if err != nil {
		return nil, WriteError("a spool of backup "+p.id, err)
	}
	p.spools[name] = f
	return f, nil
}

func (p *pending) Commit(ctx context.Context, sidecar []byte, record func(context.Context) error) error {
	if p.ended {
		return errs.New(errs.Precondition, "", "backup %s is not in the making any more", p.id)
	}
	err := p.place(ctx, sidecar)
	if err == nil {
		err = record(ctx)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store backup %s: %w", p.id, err), p.Abort())
	}
	p.store.reached("recorded")
	p.finish()
	return nil
}

// place puts sidecar and tarball where they belong, durably. The partial name
// stays: it says that nobody was told yet.
func (p *pending) place(ctx context.Context, sidecar []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.store.sync(p.file); err != nil {
		return WriteError("the tarball", err)
	}
	p.store.reached("tarball synced")
	if err := p.placeSidecar(sidecar); err != nil {
		return err
	}
	p.store.reached("sidecar in place")
	if err := p.link(p.tarball+markMade, p.tarball); err != nil {
		return err
	}
	p.store.reached("tarball in place")
	if err := p.store.syncDir(p.dir); err != nil {
		return WriteError(p.dir, err)
	}
	p.store.reached("directory synced")
	return nil
}

func (p *pending) placeSidecar(data []byte) error {
	final := filepath.Join(p.dir, p.id+sidecarSuffix)
	f, err := createNew(final + markMade)
	if err != nil {
		return WriteError("the sidecar", err)
	}
	_, err = f.Write(data)
	if err == nil {
		p.store.reached("sidecar written")
		err = p.store.sync(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return WriteError("the sidecar", err)
	}
	p.store.reached("sidecar synced")
	if err := p.link(final+markMade, final); err != nil {
		return err
	}
	return WriteError("the sidecar", os.Remove(final+markMade))
}

// link gives a file its final name, which must be free: unlike rename it never replaces.
func (p *pending) link(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		return taken(p.id)
	}
	if err != nil {
		return WriteError(to, err)
	}
	p.placed = append([]string{to}, p.placed...)
	return nil
}

// finish forgets that the backup was in the making. The backup is there and
// listed, so nothing here may fail it: Sweep removes what could not be removed.
func (p *pending) finish() {
	_ = p.end(nil)
	_ = p.store.syncDir(p.dir)
}

func (p *pending) Abort() error {
	if p.ended {
		return nil
	}
	if err := errors.Join(p.end(p.placed), p.store.syncDir(p.dir)); err != nil {
		return fmt.Errorf("clean up after backup %s: %w", p.id, err)
	}
	return nil
}

// end closes everything and removes the given files, then the scratch, and the
// mark last, so that after a crash Sweep knows what was going on.
func (p *pending) end(placed []string) error {
	p.ended = true
	defer p.store.dismiss(p)
	p.file.Close() // what mattered was synced
	paths := append(placed[:len(placed):len(placed)], filepath.Join(p.dir, p.id+sidecarSuffix+markMade))
	for name, f := range p.spools {
		f.Close()
		paths = append(paths, p.spoolPath(name))
	}
	return removeAll(append(paths, p.tarball+markMade)...)
}
