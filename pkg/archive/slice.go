package archive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// slicer reads files that have slice frames of their own.
type slicer struct {
	line   *pipeline
	root   *beneath
	owners *ownerNames
}

// slice reads a file and puts its frames on the line. known are, for each base
// that may have it, the frames that it had there.
func (s *slicer) slice(n *node, known [][]candidate) error {
	fd, before, err := s.open(n)
	if err != nil && n.links < 2 {
		return s.line.putDone(&job{warnings: []Warning{unreadable(n.name(), err)}})
	}
	c := newContent(fd, n.entry.Size, nil)
	first := &job{kind: KindTree}
	if err != nil {
		c.lost = err
	} else {
		defer unix.Close(fd)
		n.entry.setStat(&before, s.owners)
		s.prepare(n, fd, c, &before, first)
	}
	return s.frames(n, c, first, known, &before)
}

func (s *slicer) open(n *node) (int, unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := s.root.open(n.name(), openRead|unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) {
		fd, err = s.root.open(n.name(), openRead)
	}
	if err != nil {
		return -1, st, err
	}
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = unix.ENOENT // something else has taken its place
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, st, err
	}
	return fd, st, nil
}

// prepare reads what the header needs.
func (s *slicer) prepare(n *node, fd int, c *content, st *unix.Stat_t, first *job) {
	xattrs, problem := readXattrs(fd)
	n.entry.Xattrs = xattrs
	if problem != "" {
		first.warnings = append(first.warnings, Warning{WarnMetadata, n.name(), problem})
	}
	*c = *newContent(fd, st.Size, dataSegments(fd, st))
	n.entry.Sparse = c.sparse()
}

// frames cuts the stored content at fixed offsets. The first frame has the header,
// the last the padding and the entry.
func (s *slicer) frames(n *node, c *content, first *job, known [][]candidate, before *unix.Stat_t) error {
	e := &n.entry
	for j, left := first, c.stored(); ; j = (&job{kind: KindTree}) {
		p := s.line.buffer()
		if j == first {
			p = appendHeader(p, e, left, "") // a file: the same in every format
		}
		size := min(left, SliceSize)
		j.sum = sha256.New()
		j.sum.Write(p)
		p = appendRoom(p, size)
		j.summed = len(p)
		c.fill(p[int64(len(p))-size:], j.sum)
		left -= size
		for _, frames := range known {
			if e.Span < uint64(len(frames)) {
				j.candidates = append(j.candidates, frames[e.Span])
			}
		}
		if left == 0 {
			j.plain = appendZeros(p, padTo(c.stored(), blockSize))
			s.finish(n, c, j, before)
			return s.line.put(j)
		}
		j.plain = p
		if err := s.line.put(j); err != nil {
			return err
		}
		e.Span++
	}
}

// finish completes the entry and adds it to its last frame.
func (s *slicer) finish(n *node, c *content, j *job, before *unix.Stat_t) {
	e := &n.entry
	e.ContentHash = c.hash()
	j.read = c.read
	kind, detail := WarnUnreadable, ""
	if c.fd < 0 {
		detail = fmt.Sprintf("filled with zeros, because other names refer to it: %v", c.lost)
	} else {
		kind, detail = readProblem(c.fd, c.intact, e.Size, before, c.lost)
	}
	if detail != "" {
		e.ChangeTime = time.Time{}
		j.warnings = append(j.warnings, Warning{kind, n.name(), detail})
	}
	if n.unseen() {
		j.warnings = append(j.warnings, Warning{WarnUnseen, n.name(), unseenDetail})
	}
	j.entries = []Entry{*e}
}
