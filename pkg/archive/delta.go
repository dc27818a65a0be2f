package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// DeltaOptions says how a [Delta] works.
type DeltaOptions struct {
	Format Format
	// WalkStarted is the manifest's walk_started_at of the tarball. A file whose
	// recorded times are so close to it that a change could hide in the clock's
	// step is read before it is taken over.
	WalkStarted time.Time
	// Workers is how many goroutines take files over; 0 means one a processor.
	Workers int
	Owners  OwnerMode
	// Resume says that target may hold what an earlier Delta of the same tarball
	// has made before it was broken off. Files in it whose content is the recorded
	// one are kept; they count as taken.
	Resume bool
	// Move says that the other tree is nobody's: its files are moved where they have
	// the recorded content, and no other name.
	Move bool
	// Warn, if not nil, is called for each warning, from one goroutine at a time.
	Warn func(Warning)
}

// DeltaSummary says what a [Delta] has made.
type DeltaSummary struct {
	Totals
	// TakenFiles and TakenBytes are how much of it came from the older tree.
	TakenFiles, TakenBytes int64
	Warnings               int64
}

// Delta makes the tree of a tarball out of another tree that is much like it,
// and of those frames of the tarball that hold what is not in it. The result is
// what an [Extractor] makes of all frames, and shares no inode with the other
// tree: whoever writes into a file of one changes nothing in the other. It makes
// nothing outside of its directory, reads nothing outside of the other tree, and
// follows no symbolic link in either, whatever the index says.
//
// Match, Extract and Finish are called once each, in this order, from one
// goroutine; then Close.
type Delta struct {
	opts   DeltaOptions
	target *os.Root
	staged *beneath
	live   *beneath // nil: there is no other tree

	mu      sync.Mutex // guards what follows while Match runs
	summary DeltaSummary
	told    map[string]bool
	renamed map[string]string // see tarStream
	needed  int64             // regular files that are to come from the tarball
	others  int64             // entries that are no regular files
}

// NewDelta returns one that writes into target, which is empty, or see
// [DeltaOptions].Resume. live is the
// other tree, or nil. Both stay the caller's to close.
func NewDelta(target, live *os.Root, opts DeltaOptions) (*Delta, error) {
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	d := &Delta{opts: opts, target: target, told: map[string]bool{}, renamed: map[string]string{}}
	var err error
	if d.staged, err = openBeneath(target); err != nil {
		return nil, err
	}
	if live == nil {
		return d, nil
	}
	if d.live, err = openBeneath(live); err != nil {
		d.staged.close()
		return nil, err
	}
	return d, nil
}

// Close frees what the Delta holds.
func (d *Delta) Close() {
	d.staged.close()
	if d.live != nil {
		d.live.close()
	}
}

// Match takes the tarball's index, see [Reader.BaseFrames], makes its
// directories and takes over the files that the other tree has. It calls need,
// from one goroutine at a time and in no order, for each run of frames that
// holds what is to come from the tarball.
func (d *Delta) Match(ctx context.Context, index iter.Seq2[BaseFrame, error], need func(first, count uint64) error) error {
	g, ctx := errgroup.WithContext(ctx)
	units := make(chan *unit, 2*d.opts.Workers)
	g.Go(func() error {
		defer close(units)
		return d.lay(ctx, index, units)
	})
	for range d.opts.Workers {
		g.Go(func() error { return d.take(ctx, units, need) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("take over files into %s: %w", d.target.Name(), err)
	}
	return nil
}

// lay makes directories and hands on the units of the index.
func (d *Delta) lay(ctx context.Context, index iter.Seq2[BaseFrame, error], units chan<- *unit) (err error) {
	next, stop := iter.Pull2(index)
	defer stop()
	base := baseUnits{next: next}
	// Finish gives directories their metadata.
	t := newTree(d.staged, func(int, *Entry) error { return nil }, new(fileWriters).wait)
	defer func() { err = errors.Join(err, t.close()) }()
	for {
		if err := base.advance(); err != nil {
			return err
		}
		u := base.current
		if len(base.loose) > 0 || u != nil && u.entries[0].Span >= uint64(len(u.frames)) {
			return corruptAt(-1, "the index has frames without an entry, or an entry without its frames")
		}
		if u == nil {
			return nil
		}
		if err := d.layUnit(t, u); err != nil {
			return err
		}
		select {
		case units <- u:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (d *Delta) layUnit(t *tree, u *unit) error {
	for i := range u.entries {
		e := &u.entries[i]
		if i > 0 && e.Span > 0 {
			return corruptAt(-1, "the index lets %q begin in frames of another file", e.Name())
		}
		if err := e.checkSafe(); err != nil {
			return err
		}
		d.count(e)
		if e.Name() == "./" || e.Type != TypeRegular && e.Type != TypeDirectory {
			continue
		}
		_, name, err := t.enter(e.Name())
		if err == nil && e.Type == TypeDirectory {
			err = t.push(name, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Delta) count(e *Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.summary.add(e)
	if e.Type != TypeRegular {
		d.others++
	}
	if e.SitePath != "" {
		d.renamed[topOf(e.Path)] = topOf(e.SitePath)
	}
}

// checkSafe refuses what a tar stream would be refused for.
func (e *Entry) checkSafe() error {
	paths := []string{e.Path}
	if e.SitePath != "" {
		paths = append(paths, e.SitePath)
	}
	if e.Type == TypeHardlink {
		paths = append(paths, e.LinkTarget)
	}
	for _, p := range paths {
		if clean, err := safePath(p); err != nil {
			return err
		} else if clean != p {
			return fmt.Errorf("name %q is not %q: %w", p, clean, ErrUnsafe)
		}
	}
	switch {
	case e.SitePath != "" && tarballPath(e.SitePath) != e.Path:
		return fmt.Errorf("%q is no name for %q: %w", e.Path, e.SitePath, ErrUnsafe)
	case e.Name() == "./" && e.Type != TypeDirectory:
		return fmt.Errorf("the root is a %s: %w", e.Type, ErrUnsafe)
	case e.UID == ^uint32(0) || e.GID == ^uint32(0):
		return fmt.Errorf("%q has owner %d and group %d: %w", e.Path, e.UID, e.GID, ErrUnsafe)
	}
	for _, x := range e.Xattrs {
		if !keptXattr(x.Name) {
			return fmt.Errorf("%q has the attribute %q: %w", e.Path, x.Name, ErrUnsafe)
		}
	}
	return nil
}

// Extract takes the frames that Match has asked for, in the order of the
// tarball, and those that stand behind its last entry. next returns io.EOF after
// the last one. If Match has asked for none, none may come.
func (d *Delta) Extract(ctx context.Context, next func() (Frame, error)) error {
	if d.needed == 0 {
		return atEnd(next)
	}
	x, err := NewExtractor(ctx, d.target, d.opts.Format, ExtractOptions{
		WithDump: true, Owners: d.opts.Owners, Warn: d.warn, partial: true,
	})
	if err != nil {
		return err
	}
	defer x.Abort()
	for {
		f, err := next()
		if err == io.EOF { //nolint:errorlint // io.EOF within another error is a failure, not the end
			break
		}
		if err == nil {
			err = x.Put(ctx, f)
		}
		if err != nil {
			return err
		}
	}
	sum, err := x.Finish(ctx)
	if err == nil && sum.Files != d.needed {
		err = fmt.Errorf("%w: of %d files that were asked for came %d", ErrIncomplete, d.needed, sum.Files)
	}
	return err
}

// atEnd fails if there is another frame.
func atEnd(next func() (Frame, error)) error {
	_, err := next()
	if err == io.EOF { //nolint:errorlint // io.EOF within another error is a failure, not the end
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%w: a frame that nobody has asked for", ErrUnsafe)
	}
	return err
}

// Finish takes the entries of the tarball that are no regular files, in its
// order, makes links, gives directories what they shall have, and returns when
// everything is on stable storage.
func (d *Delta) Finish(ctx context.Context, others iter.Seq2[Entry, error]) (DeltaSummary, error) {
	x := d.extraction(ctx)
	x.tree = newTree(d.staged, x.leave, x.files.wait)
	count, err := d.link(ctx, x, others)
	err = errors.Join(err, x.tree.close())
	if err == nil && count != d.others {
		err = fmt.Errorf("%w: of %d directories and links came %d", ErrIncomplete, d.others, count)
	}
	if err == nil {
		err = syncTree(d.staged)
	}
	if err != nil {
		return DeltaSummary{}, fmt.Errorf("links and directories in %s: %w", d.target.Name(), err)
	}
	return d.summary, nil
}

func (d *Delta) link(ctx context.Context, x *extraction, others iter.Seq2[Entry, error]) (count int64, err error) {
	for e, err := range others {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = e.checkSafe()
		}
		if err == nil && e.Type == TypeRegular {
			err = fmt.Errorf("%q is a file: %w", e.Name(), ErrUnsafe)
		}
		if err == nil {
			err = x.entry(&e, nil)
		}
		if err != nil {
			return count, err
		}
		count++
	}
	return count, nil
}

// extraction returns what sets metadata for one goroutine.
func (d *Delta) extraction(ctx context.Context) *extraction {
	return &extraction{
		opts:   &ExtractOptions{WithDump: true, Owners: d.opts.Owners, Warn: d.warn},
		stream: &tarStream{ctx: ctx, renamed: d.renamed}, root: d.staged, owners: newOwnerNumbers(),
		files:  new(fileWriters), // none is made by it
		buffer: make([]byte, 256<<10), told: map[string]bool{},
	}
}

// warn passes a warning on; one about owners, which entries have in common, once.
func (d *Delta) warn(w Warning) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.Kind == WarnOwner {
		if d.told[w.Detail] {
			return
		}
		d.told[w.Detail] = true
	}
	d.summary.Warnings++
	if d.opts.Warn != nil {
		d.opts.Warn(w)
	}
}

// take takes over the files of units until there are no more.
func (d *Delta) take(ctx context.Context, units <-chan *unit, need func(first, count uint64) error) error {
	k := newTaker(ctx, d)
	defer k.close()
	for u := range units {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		took, missing, err := k.unit(u)
		if err == nil {
			err = d.account(u, took, missing, need)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// account counts what was taken over of a unit, and asks for its frames if
// something is missing.
func (d *Delta) account(u *unit, took Totals, missing int64, need func(first, count uint64) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.summary.TakenFiles += took.Files
	d.summary.TakenBytes += took.Bytes
	if missing == 0 {
		return nil
	}
	d.needed += missing
	return need(u.frames[0].number, uint64(len(u.frames)))
}

// sameChange reports whether a file is so surely what the index says of it that
// it need not be read: nobody has touched it since it was backed up.
func (d *Delta) sameChange(e *Entry, st *unix.Stat_t) bool {
	return e.settledBefore(d.opts.WalkStarted) && st.Ino == e.Inode && st.Size == e.Size &&
		time.Unix(st.Mtim.Unix()).Equal(e.ModTime) && time.Unix(st.Ctim.Unix()).Equal(e.ChangeTime)
}
