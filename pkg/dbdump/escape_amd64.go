package dbdump

import (
	"slices"

	"golang.org/x/sys/cpu"
)

// hasShuffle: the processor can rearrange the bytes of a block of 16 (PSHUFB), and
// count bits. All since 2008 can.
var hasShuffle = cpu.X86.HasSSSE3 && cpu.X86.HasPOPCNT

// blockBytes is what the assembly works on at once.
const blockBytes = 16

// gap marks a place where no byte goes.
const gap = 0x80

// escapeTables are what escapeBlocks shuffles by. A byte is special if the class
// entries for its low and its high four bits have a bit in common; it then becomes
// its letter by an exclusive or with both of its flip entries.
type escapeTables struct {
	classLow, classHigh, flipLow, flipHigh [blockBytes]byte
	// slide, read from place 16-n on, moves the last n of 16 bytes to the front.
	slide [2 * blockBytes]byte
	// spread says, for each set of special bytes among eight, which of the eight goes
	// to which of up to 16 places; before a special one there is a gap. What is behind
	// the last is overwritten.
	spread [256][blockBytes]byte
}

var shuffles = func() *escapeTables {
	t := &escapeTables{
		classLow:  [blockBytes]byte{0x0: 1, 0xa: 1 | 2, 0xd: 1, 0x2: 4, 0x7: 4, 0xc: 8},
		classHigh: [blockBytes]byte{0x0: 1, 0x1: 2, 0x2: 4, 0x5: 8},
		flipLow:   [blockBytes]byte{0x0: '0', 0xa: '\n' ^ 'n', 0xd: '\r' ^ 'r'},
		flipHigh:  [blockBytes]byte{0x1: '\n' ^ 'n' ^ 0x1a ^ 'Z'}, // of 0x1a, which has the low bits of a line feed
	}
	for i := range t.slide {
		t.slide[i] = gap
		if i < blockBytes {
			t.slide[i] = byte(i)
		}
	}
	for set := range t.spread {
		t.spread[set] = spreadOf(set)
	}
	return t
}()

func spreadOf(set int) (places [blockBytes]byte) {
	to := 0
	for i := range byte(8) {
		if set>>i&1 == 1 {
			places[to] = gap
			to++
		}
		places[to] = i
		to++
	}
	return places
}

// escapeBlocks writes n > 0 bytes of src, escaped, to dst and returns how many it
// wrote. 16 bytes of src can be read even if n is less; dst has room for 2n+16 bytes.
//
//go:noescape
func escapeBlocks(dst, src *byte, n int, t *escapeTables) int

// hexBlocks writes the digits of n blocks of 16 bytes of src to dst.
//
//go:noescape
func hexBlocks(dst, src *byte, n int)

// appendShuffled is appendEscaped for s that is not empty, 16 bytes at once.
func appendShuffled(b, s []byte) []byte {
	b = slices.Grow(b, 2*len(s)+blockBytes)
	n, from := len(s), s
	if n < blockBytes {
		var short [blockBytes]byte
		if cap(s) >= blockBytes {
			from = s[:blockBytes]
		} else {
			copy(short[:], s)
			from = short[:]
		}
	}
	n = escapeBlocks(&b[len(b):cap(b)][0], &from[0], n, shuffles)
	return b[:len(b)+n]
}

// hexShuffled writes digits for the beginning of s, and returns for how much of it.
func hexShuffled(to, s []byte) int {
	n := len(s) / blockBytes
	if !hasShuffle || n == 0 {
		return 0
	}
	hexBlocks(&to[:2*n*blockBytes][0], &s[0], n)
	return n * blockBytes
}
