package dbdump

import (
	"errors"
	"fmt"
	"io"
)

// windowSize is how much of the server's replies is read at once. Rows that do
// not fit are never held whole.
const windowSize = 512 << 10

// packetReader reads packets: three bytes of length, one of sequence, and the
// payload. A payload of 16 MiB - 1 goes on in the next packet.
type packetReader struct {
	r          io.Reader
	buf        []byte
	start, end int
	large      *largeRow
}

func newPacketReader(r io.Reader) *packetReader {
	return &packetReader{r: r, buf: make([]byte, windowSize)}
}

// next returns the next payload, or a large one to be read piece by piece.
// What was left of the large one before is an error of the caller.
func (p *packetReader) next() ([]byte, payload, error) {
	if p.large != nil && !p.large.done {
		return nil, nil, fmt.Errorf("%w: the row before was not read", errMalformed)
	}
	p.large = nil
	n, err := p.header()
	if err != nil {
		return nil, nil, err
	}
	if n > len(p.buf) || n == maxPacket {
		p.large = &largeRow{p: p, left: n, more: n == maxPacket}
		return nil, p.large, nil
	}
	if err := p.need(n); err != nil {
		return nil, nil, err
	}
	b := p.buf[p.start : p.start+n]
	p.start += n
	return b, nil, nil
}

// header reads the head of a packet and returns the length of its payload.
func (p *packetReader) header() (int, error) {
	if err := p.need(4); err != nil {
		return 0, err
	}
	b := p.buf[p.start:]
	p.start += 4
	return int(b[0]) | int(b[1])<<8 | int(b[2])<<16, nil
}

// need makes n bytes available at start. A connection that ends is an
// unexpected end everywhere: only a packet of the server ends a reply.
func (p *packetReader) need(n int) error {
	if p.end-p.start >= n {
		return nil
	}
	if len(p.buf)-p.start < n {
		p.end = copy(p.buf, p.buf[p.start:p.end])
		p.start = 0
	}
	for p.end-p.start < n {
		k, err := p.r.Read(p.buf[p.end:])
		p.end += k
		if err != nil && p.end-p.start < n {
			return cutOff(err)
		}
	}
	if p.start == p.end {
		p.start, p.end = 0, 0
	}
	return nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// largeRow hands out a payload as it comes in.
type largeRow struct {
	p    *packetReader
	left int  // of the current packet
	more bool // another packet follows
	done bool
}

func (l *largeRow) take(n int) ([]byte, error) {
	for l.left == 0 {
		if !l.more {
			l.done = true
			return nil, io.EOF
		}
		k, err := l.p.header()
		if err != nil {
			return nil, err
		}
		l.left, l.more = k, k == maxPacket
	}
	if err := l.p.need(1); err != nil {
		return nil, err
	}
	n = min(n, l.left, l.p.end-l.p.start)
	b := l.p.buf[l.p.start : l.p.start+n]
	l.p.start += n
	l.left -= n
	return b, nil
}
