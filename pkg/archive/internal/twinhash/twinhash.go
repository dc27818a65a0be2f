// Package twinhash hashes two messages at the same time on one processor. The
// instructions for SHA-256 wait for each other's results, so that a second
// message costs little beside the first. It refuses to know what is hashed, and
// leaves everything but whole blocks to crypto/sha256.
package twinhash

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
)

const (
	blockSize = 64
	// least is how many bytes must be common for the detour to pay.
	least = 8 * blockSize
)

// Write adds a to x and b to y, as x.Write(a) and y.Write(b) do, and is faster
// where the processor allows it. Both hashes must come from [crypto/sha256.New],
// and be two different ones.
func Write(x hash.Hash, a []byte, y hash.Hash, b []byte) {
	if accelerated && min(len(a), len(b)) >= least {
		a, b = writeCommon(x, a, y, b)
	}
	x.Write(a)
	y.Write(b)
}

// writeCommon adds the blocks that a and b both have and returns what is left.
func writeCommon(x hash.Hash, a []byte, y hash.Hash, b []byte) (restA, restB []byte) {
	var s, t state
	a, b = s.loadAligned(x, a), t.loadAligned(y, b)
	n := min(len(a), len(b)) / blockSize
	blocks2(&s.words, &t.words, &a[0], &b[0], n)
	n *= blockSize
	s.store(x, uint64(n))
	t.store(y, uint64(n))
	return a[n:], b[n:]
}

// state is a hash's state as crypto/sha256 writes and reads it: a magic number,
// eight words, a block that is begun, and how many bytes have come.
type state struct {
	words  [8]uint32
	length uint64
	text   [stateSize]byte
}

const (
	magicSize = 4
	stateSize = magicSize + 8*4 + blockSize + 8
)

func (s *state) load(h hash.Hash) {
	b, err := h.(encoding.BinaryAppender).AppendBinary(s.text[:0])
	if err != nil || len(b) != stateSize {
		panic(fmt.Sprintf("twinhash: not a hash of crypto/sha256: %d bytes, %v", len(b), err))
	}
	for i := range s.words {
		s.words[i] = binary.BigEndian.Uint32(b[magicSize+4*i:])
	}
	s.length = binary.BigEndian.Uint64(b[stateSize-8:])
}

// loadAligned adds as much of p, which has a block at least, as ends a block that
// h has begun, loads the state and returns the rest.
func (s *state) loadAligned(h hash.Hash, p []byte) []byte {
	s.load(h)
	begun := s.length % blockSize
	if begun == 0 {
		return p
	}
	h.Write(p[:blockSize-begun])
	s.load(h)
	return p[blockSize-begun:]
}

// store gives h the state after n more bytes.
func (s *state) store(h hash.Hash, n uint64) {
	for i, w := range s.words {
		binary.BigEndian.PutUint32(s.text[magicSize+4*i:], w)
	}
	binary.BigEndian.PutUint64(s.text[stateSize-8:], s.length+n)
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.text[:]); err != nil {
		panic("twinhash: " + err.Error())
	}
}
