package archive

import (
	"context"
	"fmt"
	"iter"
	"os"
)

// DifferenceKind says how a tree differs from a tarball in one entry.
type DifferenceKind uint8

// The kinds, as a restore of the tarball would bring them about.
const (
	// Added is in the tarball and not in the tree.
	Added DifferenceKind = iota + 1
	// Changed is in both, and of another type, size, time, mode, owner or target
	// of a link; a directory's time does not count.
	Changed
	// Removed is in the tree and not in the tarball.
	Removed
)

// Difference is one entry in which a tree differs from a tarball.
type Difference struct {
	Kind DifferenceKind
	// Entry is the tarball's, and the tree's where that has none.
	Entry Entry
}

// CompareTree walks a tree next to the index of a tarball, see
// [Reader.BaseFrames], and calls differ for each entry that differs, in the order
// of the walk. It opens no file: two files of one size and time are the same to
// it. Nothing of the tree is left out but what exclude, a list of globs as in
// [SourceOptions], matches. A nil root is an empty tree. What cannot be looked at
// is a warning, and counts as not there.
func CompareTree(ctx context.Context, root *os.Root, index iter.Seq2[BaseFrame, error], exclude []string, differ func(Difference) error, warn func(Warning)) error {
	rules, err := parseExcludes(exclude)
	if err != nil {
		return err
	}
	next, stop := iter.Pull2(entriesOf(index))
	defer stop()
	c := &comparison{next: next, differ: differ}
	if err := c.advance(); err != nil {
		return err
	}
	if root != nil {
		b, err := openBeneath(root)
		if err != nil {
			return err
		}
		defer b.close()
		w := &walker{
			ctx: ctx, root: b, opts: &SourceOptions{}, excludes: rules, owners: newOwnerNames(), links: map[inode]*firstName{}, limits: usualLimits(),
			visit: c.visit, warn: func(w Warning) error { warn(w); return nil },
		}
		if err := w.walk(); err != nil {
			return fmt.Errorf("compare %s: %w", root.Name(), err)
		}
	}
	return c.finish()
}

func entriesOf(index iter.Seq2[BaseFrame, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for f, err := range index {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for i := range f.Entries {
				if !yield(f.Entries[i], nil) {
					return
				}
			}
		}
	}
}

// comparison merges a walk with an index.
type comparison struct {
	next   func() (Entry, error, bool)
	was    Entry // the index's next one
	left   bool  // there is one
	differ func(Difference) error
}

func (c *comparison) advance() (err error) {
	c.was, err, c.left = c.next()
	return err
}

// visit takes the next node of the walk.
func (c *comparison) visit(n *node) error {
	for c.left {
		order := ComparePaths(n.name(), c.was.Name())
		if order < 0 {
			break
		}
		if order == 0 {
			if !c.was.looksLike(&n.entry) {
				if err := c.differ(Difference{Changed, c.was}); err != nil {
					return err
				}
			}
			return c.advance()
		}
		if err := c.added(); err != nil {
			return err
		}
	}
	return c.differ(Difference{Removed, n.entry})
}

func (c *comparison) added() error {
	if err := c.differ(Difference{Added, c.was}); err != nil {
		return err
	}
	return c.advance()
}

func (c *comparison) finish() error {
	for c.left {
		if err := c.added(); err != nil {
			return err
		}
	}
	return nil
}

// looksLike reports whether a stat of now fits the entry.
func (e *Entry) looksLike(now *Entry) bool {
	switch {
	case e.Type != now.Type || e.Size != now.Size || e.Type == TypeHardlink && e.LinkTarget != now.LinkTarget:
		return false
	case e.Type != TypeDirectory && !e.ModTime.Equal(now.ModTime):
		return false
	case e.Type != TypeSymlink && e.Mode != now.Mode:
		return false
	}
	return sameOwner(e.Uname, now.Uname, e.UID, now.UID) && sameOwner(e.Gname, now.Gname, e.GID, now.GID)
}

// sameOwner compares as a restore sets owners: by name where there is one.
func sameOwner(was, now string, wasID, nowID uint32) bool {
	if was != "" && now != "" {
		return was == now
	}
	return wasID == nowID
}
