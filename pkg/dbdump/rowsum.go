package dbdump

import (
	"fmt"
	"hash/crc32"
)

// castagnoli is CRC-32C, which processors compute by themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rowHash is what a row, given the CRC-32C and the length of its text with the
// parentheses, adds to its table's checksum: the finalizer of splitmix64
// (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
func rowHash(crc uint32, length int64) uint64 {
	x := uint64(length)<<32 | uint64(crc)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// rowSum adds up the hashes of the rows that a scanner goes over. It follows a
// row through pieces.
type rowSum struct {
	total  uint64
	from   int // where the part of the row begins that is not in crc yet; negative outside of rows
	crc    uint32
	length int64
}

// end notes that a row ends at to.
func (r *rowSum) end(b []byte, to int) {
	if r.from < 0 {
		return
	}
	r.cut(b, to)
	r.total += rowHash(r.crc, r.length)
	r.from, r.crc, r.length = -1, 0, 0
}

// cut notes that b goes away up to to, perhaps within a row.
func (r *rowSum) cut(b []byte, to int) {
	if r.from < 0 {
		return
	}
	r.crc = crc32.Update(r.crc, castagnoli, b[r.from:to])
	r.length += int64(to - r.from)
	r.from = to
}

// take returns the sum of the rows that have ended since the last call.
func (r *rowSum) take() uint64 {
	t := r.total
	r.total = 0
	return t
}

// checksumText is how checksums are written: 16 hexadecimal digits.
func checksumText(sum uint64) string { return fmt.Sprintf("%016x", sum) }
