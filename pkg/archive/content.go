package archive

import (
	"crypto/sha256"
	"hash"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/pkg/archive/internal/twinhash"
)

// segment is a run of a file that is not a hole.
type segment struct{ offset, length int64 }

// maxSegments bounds the map of a sparse file; what is behind the last of them
// is stored with its holes.
const maxSegments = 4096

// dataSegments returns where a file has data if holes are worth leaving out,
// otherwise nothing.
func dataSegments(fd int, st *unix.Stat_t) []segment {
	// Blocks tell nothing: XFS counts those that it keeps ready behind the end.
	if hole, err := unix.Seek(fd, 0, unix.SEEK_HOLE); err != nil || hole >= st.Size {
		return nil
	}
	var segments []segment
	total := int64(0)
	for end := int64(0); end < st.Size; {
		from, err := unix.Seek(fd, end, unix.SEEK_DATA)
		if err == unix.ENXIO || (err == nil && from >= st.Size) {
			break
		}
		if err != nil {
			return nil
		}
		if end, err = unix.Seek(fd, from, unix.SEEK_HOLE); err != nil || end <= from {
			return nil
		}
		end = min(end, st.Size)
		if len(segments) == maxSegments-1 {
			end = st.Size
		}
		segments = append(segments, segment{from, end - from})
		total += end - from
	}
	if total > st.Size-SliceSize/4 {
		return nil
	}
	return append(segments, segment{st.Size, 0}) // marks the end, and that there are holes
}

// content reads what is stored of a file: all of it, or a map of its data and
// the data (GNU tar manual, "PAX Format, Version 1.0"). It always gives as many
// bytes as it promised and keeps in mind from where on they are zeros.
type content struct {
	fd       int
	size     int64
	segments []segment // nil: not sparse
	head     []byte    // what is left of the map
	headSize int64

	at     int   // segment
	within int64 // in it
	sum    hash.Hash
	hashed int64 // bytes of the file that sum has seen
	read   int64
	intact int64 // the file was as long as this, at least
	lost   error // no more is read after it
	short  bool  // the file ended before its size
}

func newContent(fd int, size int64, segments []segment) *content {
	c := &content{fd: fd, size: size, segments: segments, sum: sha256.New()}
	if c.sparse() {
		c.head = sparseMap(segments)
		c.headSize = int64(len(c.head))
	} else {
		c.segments = []segment{{0, size}}
	}
	return c
}

func (c *content) sparse() bool {
	return len(c.segments) > 0 && c.segments[len(c.segments)-1] == segment{c.size, 0} && c.size > 0
}

// sparseMap writes the number of segments, then offset and length of each, one
// a line, padded to a block.
func sparseMap(segments []segment) []byte {
	b := strconv.AppendInt(nil, int64(len(segments)), 10)
	for _, s := range segments {
		b = strconv.AppendInt(append(b, '\n'), s.offset, 10)
		b = strconv.AppendInt(append(b, '\n'), s.length, 10)
	}
	b = append(b, '\n')
	return appendZeros(b, padTo(int64(len(b)), blockSize))
}

// stored returns how many bytes there are in all.
func (c *content) stored() int64 {
	n := c.headSize
	for _, s := range c.segments {
		n += s.length
	}
	return n
}

// fill fills p with the next bytes, and adds them to the sum of the frame's plain
// bytes.
func (c *content) fill(p []byte, plain hash.Hash) {
	n := copy(p, c.head)
	plain.Write(p[:n])
	c.head = c.head[n:]
	p = p[n:]
	for len(p) > 0 {
		s := c.segments[c.at]
		if c.within == s.length {
			c.at, c.within = c.at+1, 0
			continue
		}
		piece := p[:min(int64(len(p)), s.length-c.within)]
		c.skipTo(s.offset + c.within)
		c.readInto(piece, s.offset+c.within)
		twinhash.Write(plain, piece, c.sum, piece)
		c.hashed += int64(len(piece))
		c.within += int64(len(piece))
		p = p[len(piece):]
	}
}

// readInto reads what is there; the rest is zeros.
func (c *content) readInto(p []byte, off int64) {
	if c.lost != nil || c.short {
		clear(p)
		return
	}
	n, err := readAt(c.fd, p, off)
	c.read += int64(n)
	c.intact = off + int64(n)
	clear(p[n:])
	c.lost, c.short = err, n < len(p)
}

// skipTo hashes the hole up to an offset.
func (c *content) skipTo(offset int64) {
	for c.hashed < offset {
		n := min(offset-c.hashed, int64(len(zeros)))
		c.sum.Write(zeros[:n])
		c.hashed += n
	}
}

// hash returns the hash of the file's content, holes read as zeros.
func (c *content) hash() Hash {
	c.skipTo(c.size)
	if !c.short && c.lost == nil {
		c.intact = c.size
	}
	return Hash(c.sum.Sum(nil))
}
