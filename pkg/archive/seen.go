package archive

import (
	"iter"
	"time"
)

// Seen is a tarball for a [Delta], with what a newer backup of the same site has
// seen of its files. Where that one found the content that the tarball has, the
// index tells of inode and change time as they were then: so files that a restore
// has made since the tarball was need not be read to know what is in them.
type Seen struct {
	*Reader
	// Newer is the other backup. Its frames are not read.
	Newer *Reader
	// Lost is called once if Newer cannot be read any further. What it would have
	// told is not needed: files are read then.
	Lost func(error)
}

// WalkStarted returns when the later of both walks began. BaseFrames tells of no
// change that comes too close to its own.
func (s Seen) WalkStarted() time.Time {
	if own, newer := s.Reader.WalkStarted(), s.Newer.WalkStarted(); newer.Before(own) {
		return own
	}
	return s.Newer.WalkStarted()
}

// BaseFrames is [Reader.BaseFrames] with the newer backup's states of files.
func (s Seen) BaseFrames(base uint32) iter.Seq2[BaseFrame, error] {
	return func(yield func(BaseFrame, error) bool) {
		newer := pullEntries(s.Newer)
		defer newer.stop()
		newer.advance()
		for f, err := range s.Reader.BaseFrames(base) {
			for i := range f.Entries {
				s.update(&f.Entries[i], newer)
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

// update gives a file the state that the newer backup has proven for its content,
// else its own if that is proven, else one that proves nothing.
func (s Seen) update(e *Entry, newer *entryCursor) {
	if e.Type != TypeRegular {
		return
	}
	if s.find(e.Name(), newer) && sameFile(e, &newer.entry) && newer.entry.settledBefore(s.Newer.WalkStarted()) {
		e.ChangeTime, e.Inode, e.Device = newer.entry.ChangeTime, newer.entry.Inode, newer.entry.Device
		return
	}
	if !e.settledBefore(s.Reader.WalkStarted()) {
		e.ChangeTime = time.Time{}
	}
}

// find goes on to a path, and reports whether it is there.
func (s Seen) find(path string, newer *entryCursor) bool {
	for newer.ok {
		if newer.err != nil {
			s.Lost(newer.err)
			newer.ok = false
			return false
		}
		if c := ComparePaths(newer.entry.Name(), path); c >= 0 {
			return c == 0
		}
		newer.advance()
	}
	return false
}

// sameFile reports whether two entries are of files with the same content, and of the same age.
func sameFile(a, b *Entry) bool {
	return a.Type == b.Type && a.Size == b.Size && a.ContentHash == b.ContentHash && a.ModTime.Equal(b.ModTime)
}

// settledBefore reports whether an entry's last change lies so long before a walk
// that what the walk found must be what the entry's times are of.
func (e *Entry) settledBefore(walk time.Time) bool {
	return !e.ChangeTime.IsZero() && e.ChangeTime.Before(walk.Add(-racyWindow))
}
