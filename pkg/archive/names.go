package archive

import (
	"bytes"
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// nameRun reads the names of a directory in order, a run of so many at a time. The
// directory gives them in no order, so it is read again for each further run:
// memory is bounded, and a million entries cost 31 readings.
type nameRun struct {
	fd   int
	most int      // names in a run
	buf  []byte   // for entries as the kernel gives them; of use during next only
	last []byte   // the greatest name that was given
	more bool     // there are names behind those held
	text []byte   // of the names held, one after the other
	free []byte   // what text was before names were dropped; of use during next only
	name []nameAt // held
}

// nameAt is where a name lies in a run's text.
type nameAt struct {
	at   uint32
	size uint16
}

func newNameRun(fd, most int, buf []byte) *nameRun {
	return &nameRun{fd: fd, most: most, buf: buf, more: true}
}

// next goes to the next run and returns how many names it has: 0 at the end.
func (r *nameRun) next() (int, error) {
	if n := len(r.name); n > 0 {
		r.last = bytes.Clone(r.bytes(r.name[n-1]))
	}
	if !r.more {
		r.name = nil
		return 0, nil
	}
	r.text, r.name, r.more = r.text[:0], r.name[:0], false
	if err := r.read(); err != nil {
		return 0, err
	}
	r.shrink()
	r.free = nil // the run may be held for long
	return len(r.name), nil
}

// read reads the whole directory.
func (r *nameRun) read() error {
	if _, err := unix.Seek(r.fd, 0, unix.SEEK_SET); err != nil {
		return err
	}
	for {
		n, err := unix.ReadDirent(r.fd, r.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		eachDirent(r.buf[:n], r.add)
	}
}

// Where a linux_dirent64 has its length, two bytes, and its name: getdents64(2).
const (
	direntLength = 16
	direntName   = 19
)

// eachDirent calls fn with the names in what ReadDirent gave, but for those of
// the directory itself and its parent. They are of use during the call only:
// a directory of a million entries is read often, and makes no garbage so.
func eachDirent(b []byte, fn func(name []byte)) {
	for len(b) > direntName {
		size := int(binary.NativeEndian.Uint16(b[direntLength:]))
		if size <= direntName || size > len(b) {
			return
		}
		name := b[direntName:size]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		if s := string(name); s != "." && s != ".." {
			fn(name)
		}
		b = b[size:]
	}
}

// at returns a name of the run.
func (r *nameRun) at(i int) string { return string(r.bytes(r.name[i])) }

func (r *nameRun) bytes(n nameAt) []byte { return r.text[n.at:][:n.size] }

// add holds a name that is behind the last run. With half as many again as may be
// held, the greatest are dropped, and what is behind the rest from then on.
func (r *nameRun) add(name []byte) {
	if len(r.last) > 0 && bytes.Compare(name, r.last) <= 0 {
		return
	}
	if r.more && bytes.Compare(name, r.bytes(r.name[r.most-1])) > 0 {
		return
	}
	r.name = append(r.name, nameAt{uint32(len(r.text)), uint16(len(name))})
	r.text = append(r.text, name...)
	if len(r.name) >= r.most+r.most/2 {
		r.shrink()
	}
}

// shrink sorts what is held and drops what is too much.
func (r *nameRun) shrink() {
	slices.SortFunc(r.name, func(a, b nameAt) int { return bytes.Compare(r.bytes(a), r.bytes(b)) })
	if len(r.name) <= r.most {
		return
	}
	r.more = true
	r.name = r.name[:r.most]
	r.compact()
}

// compact drops the text of names that are not held any more.
func (r *nameRun) compact() {
	text := r.free[:0]
	for i, n := range r.name {
		name := r.bytes(n)
		r.name[i].at = uint32(len(text))
		text = append(text, name...)
	}
	r.text, r.free = text, r.text
}
