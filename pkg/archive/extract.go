package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// OwnerMode says how owners are restored.
type OwnerMode uint8

// How owners are restored.
const (
	// OwnersByName uses the recorded name where this machine knows it, and
	// otherwise the number, with a warning.
	OwnersByName OwnerMode = iota
	// OwnersNumeric uses the recorded numbers.
	OwnersNumeric
	// OwnersKeep leaves everything to the user who extracts.
	OwnersKeep
)

// ExtractOptions says how an [Extractor] works.
type ExtractOptions struct {
	// Select, if not nil, is asked for each path of the site ("./" before it) and
	// says whether to extract it. Directories that are missing above a selected
	// path are made with mode 0755.
	Select func(path string) bool
	// WithDump also extracts ./database.sql, which is skipped otherwise. It must be
	// set for a tarball without a dump, where that name is an ordinary file's.
	WithDump bool
	Owners   OwnerMode
	// DropSetID drops set-id bits and file capabilities, with a warning: for
	// tarballs made elsewhere.
	DropSetID bool
	// Warn, if not nil, is called for each warning, from one goroutine at a time.
	Warn func(Warning)
	// partial extracts only regular files that are not there, and leaves the
	// syncing to the caller: for what a Delta gets from the tarball.
	partial bool
}

// Extractor turns frames into files below a directory. Whatever a tarball says,
// it makes nothing outside of it, and follows no symbolic link. Put and Finish
// are for one goroutine.
type Extractor struct {
	unpacker *unpacker
	frames   int64
	started  time.Time
	running  sync.WaitGroup
	closed   bool

	summary Summary // of the goroutine that writes, valid once it has ended
	err     error
}

// NewExtractor returns an extractor into root, which stays the caller's to close.
// Finish or Abort must be called.
func NewExtractor(ctx context.Context, root *os.Root, format Format, opts ExtractOptions) (*Extractor, error) {
	u, err := newUnpacker(ctx, format)
	if err != nil {
		return nil, err
	}
	x := &Extractor{unpacker: u, started: time.Now()}
	x.running.Go(func() {
		x.summary, x.err = ExtractTar(u.ctx, root, u, opts)
		if x.err != nil {
			u.cancel(x.err)
		}
	})
	return x, nil
}

// Put takes the next frame, in the order of the tarball. It copies Data before it
// returns, and returns an earlier frame's error if there is one.
func (x *Extractor) Put(ctx context.Context, f Frame) error {
	if x.closed {
		return fmt.Errorf("extract: %w", ErrClosed)
	}
	x.frames++
	return x.unpacker.put(ctx, &f)
}

// Finish waits until everything is extracted and on stable storage. It fails
// with [ErrIncomplete] if the tar stream has not come to its end mark.
func (x *Extractor) Finish(ctx context.Context) (Summary, error) {
	if x.closed {
		return Summary{}, fmt.Errorf("extract: %w", ErrClosed)
	}
	stop := context.AfterFunc(ctx, func() { x.unpacker.cancel(context.Cause(ctx)) })
	defer stop()
	x.close()
	x.summary.Frames = x.frames
	return x.summary, x.err
}

// Abort stops and waits. What was extracted stays for the caller to remove.
func (x *Extractor) Abort() {
	if x.closed {
		return
	}
	x.unpacker.cancel(ErrClosed)
	x.close()
}

func (x *Extractor) close() {
	x.closed = true
	x.unpacker.end()
	x.running.Wait()
	x.unpacker.cancel(ErrClosed)
	x.unpacker.wait()
}

// ExtractTar extracts an uncompressed tar stream of any origin with the same
// care, and syncs the file system once at the end.
func ExtractTar(ctx context.Context, root *os.Root, r io.Reader, opts ExtractOptions) (Summary, error) {
	b, err := openBeneath(root)
	if err != nil {
		return Summary{}, err
	}
	defer b.close()
	stream := newTarStream(ctx, r)
	x := &extraction{
		opts: &opts, stream: stream, root: b, owners: newOwnerNumbers(), buffer: make([]byte, 256<<10), told: map[string]bool{},
	}
	x.files = newFileWriters(x.writeSmall)
	x.tree = newTree(b, x.leave, x.files.wait)
	started := time.Now()
	err = stream.each(x.entry)
	if ferr := x.files.close(); err == nil {
		err = ferr
	}
	err = errors.Join(err, x.tree.close())
	if err == nil && !opts.partial {
		err = syncTree(b)
	}
	if err != nil {
		return Summary{}, fmt.Errorf("extract into %s: %w", root.Name(), err)
	}
	if opts.partial {
		x.summary.Files = x.made.Load()
	}
	x.summary.PlainBytes, x.summary.StartedAt, x.summary.FinishedAt = stream.size, started, time.Now()
	return x.summary, nil
}

// syncTree brings a whole file system to stable storage: cheaper than each file
// by itself, when there are many.
func syncTree(b *beneath) error {
	if err := unix.Syncfs(b.fd); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// extraction is the state of one tar stream's extraction.
type extraction struct {
	opts   *ExtractOptions
	stream *tarStream
	root   *beneath
	tree   *tree
	files  *fileWriters
	last   string // name of the last entry
	owners *ownerNumbers
	buffer []byte
	made   atomic.Int64 // files

	summary Summary // Warnings is guarded by telling

	telling sync.Mutex      // warnings
	told    map[string]bool // those that are given once
}

func (x *extraction) warn(kind WarningKind, path, detail string) {
	x.telling.Lock()
	defer x.telling.Unlock()
	x.tell(kind, path, detail)
}

// tell gives a warning; telling is locked.
func (x *extraction) tell(kind WarningKind, path, detail string) {
	x.summary.Warnings++
	if x.opts.Warn != nil {
		x.opts.Warn(Warning{kind, path, detail})
	}
}

// warnOnce gives a warning that many entries would have in common.
func (x *extraction) warnOnce(kind WarningKind, path, detail string) {
	x.telling.Lock()
	defer x.telling.Unlock()
	if x.told[detail] || len(x.told) > 10000 {
		return
	}
	x.told[detail] = true
	x.tell(kind, path, detail)
}

// entry extracts one entry.
func (x *extraction) entry(e *Entry, content io.Reader) error {
	if !x.wanted(e) {
		return nil
	}
	if e.Name() == "./" {
		return x.rootEntry(e)
	}
	if err := x.await(e); err != nil {
		return err
	}
	l, name, err := x.tree.enter(e.Name())
	if err != nil {
		return err
	}
	err = x.make(e, l, name, content)
	if x.opts.partial && errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w", e.Type, e.Name(), err)
	}
	x.summary.add(e)
	return nil
}

// await waits for the files being written if one of them may be what a hard link
// names, or have the name of this entry. As long as entries come in the order of
// a walk, none does. The third case, a directory that no entry describes in the
// place of a file, is the tree's.
func (x *extraction) await(e *Entry) error {
	inOrder := ComparePaths(x.last, e.Name()) < 0
	x.last = e.Name()
	if inOrder && e.Type != TypeHardlink {
		return nil
	}
	return x.files.wait()
}

func (x *extraction) wanted(e *Entry) bool {
	if x.opts.partial && e.Type != TypeRegular {
		return false
	}
	if e.Path == DumpPath && e.SitePath == "" && !x.opts.WithDump {
		return false
	}
	return x.opts.Select == nil || x.opts.Select(e.Name())
}

func (x *extraction) rootEntry(e *Entry) error {
	if e.Type != TypeDirectory {
		return fmt.Errorf("the root is a %s: %w", e.Type, ErrUnsafe)
	}
	x.tree.levels[0].entry = e
	x.summary.add(e)
	return nil
}

func (x *extraction) make(e *Entry, l *level, name string, content io.Reader) error {
	switch e.Type {
	case TypeDirectory:
		return x.tree.push(name, e)
	case TypeSymlink:
		return x.symlink(e, l.fd, name)
	case TypeHardlink:
		return x.hardlink(e, l.fd, name)
	}
	if e.Sparse || e.Size > smallContent {
		return x.create(e, l.fd, name, func(fd int) error { return x.fill(fd, e, content) })
	}
	err := x.files.put(l, name, e, content)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return x.stream.broken(io.ErrUnexpectedEOF)
	}
	return err
}

// create makes a file whose content fill writes.
func (x *extraction) create(e *Entry, dir int, name string, fill func(fd int) error) error {
	fd := -1
	create := func() (err error) {
		fd, err = openNew(dir, name, e.Mode&0o777) // set-id bits come with the owner
		return err
	}
	var err error
	if x.opts.partial {
		err = create()
	} else {
		err = replacing(dir, name, create)
	}
	if err != nil {
		return err
	}
	if err := fill(fd); err != nil {
		_ = unix.Close(fd)
		return err
	}
	return x.complete(fd, dir, name, e)
}

// complete gives a new file that has its content the rest, and closes it.
func (x *extraction) complete(fd, dir int, name string, e *Entry) error {
	err := x.metadata(fd, e)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err == nil {
		err = setTime(dir, name, e)
	}
	if err == nil {
		x.made.Add(1)
	}
	return err
}

// fill writes the content of a file, and of a sparse one only what is not zero.
func (x *extraction) fill(fd int, e *Entry, content io.Reader) error {
	if e.Sparse {
		if err := unix.Ftruncate(fd, e.Size); err != nil {
			return err
		}
	}
	for off := int64(0); ; {
		n, err := io.ReadFull(content, x.buffer)
		if n > 0 {
			if werr := writeAt(fd, x.buffer[:n], off, e.Sparse); werr != nil {
				return werr
			}
			off += int64(n)
		}
		if err == io.EOF || (err == io.ErrUnexpectedEOF && off == e.Size) {
			return nil
		}
		if err != nil {
			return x.stream.broken(err)
		}
		if err := x.stream.ctx.Err(); err != nil {
			return context.Cause(x.stream.ctx)
		}
	}
}

func (x *extraction) symlink(e *Entry, dir int, name string) error {
	if e.LinkTarget == "" {
		return fmt.Errorf("it has no target: %w", ErrUnsafe)
	}
	if err := replacing(dir, name, func() error { return unix.Symlinkat(e.LinkTarget, dir, name) }); err != nil {
		return err
	}
	if uid, gid, ok := x.ownerOf(e); ok {
		if err := x.chowned(e, unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)); err != nil {
			return err
		}
	}
	return setTime(dir, name, e)
}

// hardlink gives a file that was extracted a further name.
func (x *extraction) hardlink(e *Entry, dir int, name string) error {
	target := x.stream.siteTarget(e.LinkTarget)
	if target == e.Name() {
		return nil
	}
	parent, err := x.root.open(parentOf(target), openDir)
	if err != nil {
		return x.dangling(e, target, err)
	}
	defer unix.Close(parent)
	base := lastComponent(target, len(target))
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return x.dangling(e, target, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("it names %q, which is not a regular file: %w", target, ErrUnsafe)
	}
	return replacing(dir, name, func() error { return unix.Linkat(parent, base, dir, name, 0) })
}

// dangling is an error, unless a selection may have left the target out.
func (x *extraction) dangling(e *Entry, target string, err error) error {
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("it names %q, which is not below directories only: %w", target, ErrUnsafe)
	}
	if x.opts.Select == nil {
		return fmt.Errorf("it names %q: %w", target, err)
	}
	x.warn(WarnUnreadable, e.Name(), fmt.Sprintf("left out: it is another name of %q, which was not selected", target))
	return nil
}

// replacing makes something in a directory, in place of what has the name already.
func replacing(dir int, name string, create func() error) error {
	err := create()
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := unix.Unlinkat(dir, name, 0); err == unix.EISDIR || err == unix.EPERM {
		if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); err != nil {
			return fmt.Errorf("replace the directory that is there: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("replace what is there: %w", err)
	}
	return create()
}

// setTime sets the modification time of what has a name in a directory.
func setTime(dir int, name string, e *Entry) error {
	times := []unix.Timespec{
		{Nsec: unix.UTIME_OMIT},
		{Sec: e.ModTime.Unix(), Nsec: int64(e.ModTime.Nanosecond())},
	}
	if err := unix.UtimesNanoAt(dir, name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set its time: %w", err)
	}
	return nil
}

// writeAt writes p at an offset; sparse passes over blocks of zeros.
func writeAt(fd int, p []byte, off int64, sparse bool) error {
	for len(p) > 0 {
		n := len(p)
		if sparse {
			n = min(n, len(zeros))
			if string(p[:n]) == string(zeros[:n]) {
				p, off = p[n:], off+int64(n)
				continue
			}
		}
		for done := 0; done < n; {
			w, err := unix.Pwrite(fd, p[done:n], off+int64(done))
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return err
			}
			done += w
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}
