package archive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/pkg/archive/internal/twinhash"
)

// grouper reads the entries of group frames. Each worker has its own.
type grouper struct {
	line    *pipeline
	parents parents
	owners  *ownerNames
	job     *job
	sum     hash.Hash // of the content at hand
	format  Format
}

func newGrouper(line *pipeline, root *beneath, owners *ownerNames, f Format) *grouper {
	return &grouper{format: f, line: line, parents: parents{root: root}, owners: owners, sum: sha256.New()}
}

func (g *grouper) close() { g.parents.close() }

// build reads the job's nodes into its plain bytes.
func (g *grouper) build(j *job) {
	g.job = j
	j.plain, j.sum = g.line.buffer(), sha256.New()
	j.entries = make([]Entry, 0, len(j.nodes))
	for _, n := range j.nodes {
		g.add(n)
	}
	j.nodes = nil
}

func (g *grouper) warn(kind WarningKind, n *node, format string, args ...any) {
	g.job.warnings = append(g.job.warnings, Warning{kind, n.name(), fmt.Sprintf(format, args...)})
}

// leaveOut warns of an entry that gets no place in the tarball.
func (g *grouper) leaveOut(n *node, err error) {
	g.job.warnings = append(g.job.warnings, unreadable(n.name(), err))
}

func (g *grouper) add(n *node) {
	switch n.entry.Type {
	case TypeRegular:
		g.addFile(n)
	case TypeSymlink:
		g.addSymlink(n)
	case TypeDirectory:
		g.addDirectory(n)
	case TypeHardlink:
		g.append(&n.entry, nil)
	}
}

// append adds an entry with its content, if it has any, to the plain bytes.
func (g *grouper) append(e *Entry, content func([]byte)) {
	e.Offset = int64(len(g.job.plain))
	p := appendHeader(g.job.plain, e, e.Size, g.format)
	if content != nil {
		start := len(p)
		p = appendRoom(p, e.Size)
		content(p[start:])
		e.ContentHash = g.hash(p, start)
		p = appendZeros(p, padTo(e.Size, blockSize))
	}
	g.job.plain = p
	g.job.entries = append(g.job.entries, *e)
}

// hash returns the hash of the content that the plain bytes end with, from start
// on, and brings the sum of the plain bytes to the same end.
func (g *grouper) hash(plain []byte, start int) Hash {
	j := g.job
	j.sum.Write(plain[j.summed:start])
	j.summed = len(plain)
	g.sum.Reset()
	twinhash.Write(j.sum, plain[start:], g.sum, plain[start:])
	return Hash(g.sum.Sum(nil))
}

// openQuietly opens a path of the site and looks at it again.
func (p *parents) openQuietly(path string, flags int, st *unix.Stat_t) (int, error) {
	dir, name, err := p.of(path)
	if err != nil {
		return -1, err
	}
	fd, err := openQuietly(dir, name, flags)
	if err != nil {
		return -1, err
	}
	if err := unix.Fstat(fd, st); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openQuietly opens a file, without a trace in its access time where that is allowed.
func openQuietly(dir int, name string, flags int) (int, error) {
	fd, err := openAt(dir, name, flags|unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) {
		return openAt(dir, name, flags)
	}
	return fd, err
}

func (g *grouper) addDirectory(n *node) {
	var st unix.Stat_t
	fd, err := g.parents.openQuietly(n.name(), openDir, &st)
	if errors.Is(err, unix.EACCES) {
		g.warn(WarnMetadata, n, "its attributes cannot be read: %v", err)
		g.append(&n.entry, nil)
		return
	}
	if err != nil {
		g.leaveOut(n, err)
		return
	}
	defer unix.Close(fd)
	g.attributes(n, fd)
	g.append(&n.entry, nil)
}

func (g *grouper) attributes(n *node, fd int) {
	xattrs, problem := readXattrs(fd)
	n.entry.Xattrs = xattrs
	if problem != "" {
		g.warn(WarnMetadata, n, "%s", problem)
	}
}

func (g *grouper) addSymlink(n *node) {
	dir, name, err := g.parents.of(n.name())
	if err != nil {
		g.leaveOut(n, err)
		return
	}
	target := make([]byte, 4096+1) // PATH_MAX
	size, err := unix.Readlinkat(dir, name, target)
	if err != nil || size == len(target) {
		g.leaveOut(n, err)
		return
	}
	n.entry.LinkTarget = string(target[:size])
	g.compare(n)
	g.append(&n.entry, nil)
}

func (g *grouper) addFile(n *node) {
	var before unix.Stat_t
	fd, err := g.parents.openQuietly(n.name(), openRead, &before)
	if err == nil && before.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		err = unix.ENOENT // something else has taken its place
	}
	if err != nil {
		g.unreadable(n, err)
		return
	}
	defer unix.Close(fd)
	if n.instead != nil {
		g.attributes(n, fd)
		g.append(&n.entry, func(p []byte) { copy(p, n.instead.Content) })
		return
	}
	g.refresh(n, &before)
	g.attributes(n, fd)
	g.append(&n.entry, func(p []byte) { g.content(n, fd, p, &before) })
	g.compare(n) // by the hash of what was read
}

// refresh takes what the file is now that it is open, if it is still small.
func (g *grouper) refresh(n *node, st *unix.Stat_t) {
	e := &n.entry
	if st.Size >= SmallFile {
		return // content finds that it grew
	}
	e.setStat(st, g.owners)
}

// content reads a file into p and notes what went wrong. It is called before
// the entry is listed.
func (g *grouper) content(n *node, fd int, p []byte, before *unix.Stat_t) {
	got, err := readAt(fd, p, 0)
	clear(p[got:])
	g.job.read += int64(got)
	if kind, detail := readProblem(fd, int64(got), int64(len(p)), before, err); detail != "" {
		n.entry.ChangeTime = time.Time{}
		g.warn(kind, n, "%s", detail)
	}
}

// compare tells of content that changed without a trace.
func (g *grouper) compare(n *node) {
	if n.unseen() {
		g.warn(WarnUnseen, n, "%s", unseenDetail)
	}
}

// readProblem says what is wrong with a file of which got bytes instead of want
// could be read, or nothing.
func readProblem(fd int, got, want int64, before *unix.Stat_t, err error) (WarningKind, string) {
	if err != nil {
		return WarnUnreadable, fmt.Sprintf("filled with zeros from byte %d: %v", got, err)
	}
	var after unix.Stat_t
	if err := unix.Fstat(fd, &after); err != nil {
		return WarnUnreadable, fmt.Sprintf("cannot be looked at again: %v", err)
	}
	switch {
	case got < want:
		return WarnChanged, fmt.Sprintf("it shrank while it was read: filled with zeros from byte %d", got)
	case after.Size > want:
		return WarnChanged, fmt.Sprintf("it grew while it was read: cut to %d bytes", want)
	case !sameStat(before, &after):
		return WarnChanged, "it changed while it was read"
	}
	return "", ""
}

// unreadable leaves a file out; one that other names refer to is filled with zeros.
func (g *grouper) unreadable(n *node, err error) {
	if n.links < 2 {
		g.leaveOut(n, err)
		return
	}
	g.warn(WarnUnreadable, n, "filled with zeros, because other names refer to it: %v", err)
	n.entry.ChangeTime = time.Time{}
	g.append(&n.entry, func(p []byte) { clear(p) })
}
