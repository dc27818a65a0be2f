package archive

import (
	"crypto/sha256"
	"hash"
	"slices"

	"golang.org/x/sys/unix"
)

// rereadMost is the size in bytes of the largest file that is read as a whole
// before it is known whether its frames are the base's. A larger one is compared
// frame by frame, so that progress shows and a broken stream loses little.
const rereadMost = 64 * SliceSize

// rereader finds out whether entries of which only inode or change time differ
// still are what a base has of them: as a restore, a copy or a change of mode
// and back leaves them. It hashes contents and makes nothing. It is for one
// goroutine.
type rereader struct {
	parents parents
	owners  *ownerNames
	sum     hash.Hash
	buffer  []byte
	read    int64 // bytes of files
}

func newRereader(root *beneath, owners *ownerNames) *rereader {
	return &rereader{parents: parents{root: root}, owners: owners, sum: sha256.New(), buffer: make([]byte, 128<<10)}
}

func (r *rereader) close() { r.parents.close() }

// group turns a job into a reference to the frame that its nodes had, if all of
// them are what they were. Otherwise the job is as it was, but for what was read.
func (r *rereader) group(j *job) bool {
	u := j.had
	if u == nil {
		return false
	}
	r.read = 0
	defer func() { j.read += r.read }()
	entries := make([]Entry, len(u.entries))
	for i, n := range j.nodes {
		var same bool
		if entries[i], same = r.same(n, &u.entries[i]); !same {
			return false
		}
	}
	j.nodes, j.candidates = nil, nil
	j.takeFrame(u.frames[0], entries)
	return true
}

// takeFrame makes a job a reference to one frame with entries of its own.
func (j *job) takeFrame(c candidate, entries []Entry) {
	j.entries, j.skipped = entries, c.plain
	j.reference = &Reference{
		Kind: KindTree, Base: c.base, First: c.number, Count: 1, Override: true, Entries: entries,
	}
}

// same returns an entry with the base's content and metadata and the state that
// its file has now, if the one goes with the other. Whatever stands in the way
// of knowing that makes it false: who reads the file to store it finds out.
func (r *rereader) same(n *node, was *Entry) (Entry, bool) {
	e := *was
	if !alike(&n.entry, was) || n.instead != nil {
		return e, false
	}
	e.ChangeTime, e.Inode, e.Device = n.entry.ChangeTime, n.entry.Inode, n.entry.Device
	switch e.Type {
	case TypeHardlink:
		return e, true
	case TypeSymlink:
		return e, r.sameTarget(&e)
	case TypeDirectory:
		return e, r.sameOpen(&e, was, openDir)
	}
	return e, r.sameOpen(&e, was, openRead)
}

func (r *rereader) sameTarget(e *Entry) bool {
	dir, name, err := r.parents.of(e.Name())
	if err != nil {
		return false
	}
	size, err := unix.Readlinkat(dir, name, r.buffer)
	return err == nil && string(r.buffer[:size]) == e.LinkTarget
}

// sameOpen compares what an open file or directory tells, which is also what e gets.
func (r *rereader) sameOpen(e, was *Entry, flags int) bool {
	var st unix.Stat_t
	fd, err := r.parents.openQuietly(e.Name(), flags, &st)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if !e.setStat(&st, r.owners) || !alike(e, was) {
		return false
	}
	xattrs, problem := readXattrs(fd)
	if problem != "" || !slices.Equal(xattrs, was.Xattrs) {
		return false
	}
	return e.Type == TypeDirectory || r.sameContent(fd, &st, was)
}

// sameContent compares by hash, and is sure that the file has not changed meanwhile.
func (r *rereader) sameContent(fd int, st *unix.Stat_t, was *Entry) bool {
	r.sum.Reset()
	for at := int64(0); at < st.Size; {
		n, err := readAt(fd, r.buffer[:min(st.Size-at, int64(len(r.buffer)))], at)
		r.read += int64(n)
		if err != nil || n == 0 {
			return false
		}
		r.sum.Write(r.buffer[:n])
		at += int64(n)
	}
	return Hash(r.sum.Sum(nil)) == was.ContentHash && unchangedSince(fd, st)
}

// reread puts references to the frames of a large file on the line, if it still
// is what the base's unit has of it.
func (p *planner) reread(n *node) (taken bool, err error) {
	u := p.base.current
	if n.entry.Size > rereadMost || len(u.entries) != 1 || u.entries[0].Span+1 != uint64(len(u.frames)) {
		return false, nil
	}
	p.again.read = 0
	e, same := p.again.same(n, &u.entries[0])
	if !same {
		return false, p.line.putDone(&job{read: p.again.read})
	}
	last := len(u.frames) - 1
	if last > 0 {
		head := &job{reference: &Reference{Kind: KindTree, Base: u.frames[0].base, First: u.frames[0].number, Count: uint64(last)}}
		head.skipped = u.plain - u.frames[last].plain
		if err := p.line.putDone(head); err != nil {
			return true, err
		}
	}
	j := &job{read: p.again.read}
	j.takeFrame(u.frames[last], []Entry{e})
	return true, p.line.putDone(j)
}
