package dbdump

import (
	"encoding/binary"
	"slices"
)

// specials are the bytes that mysql_real_escape_string puts a backslash
// before, and what stands for them.
var specials = [256]byte{0: '0', '\n': 'n', '\r': 'r', '\\': '\\', '\'': '\'', '"': '"', 0x1a: 'Z'}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// zeroByte has a high bit set if, and only if, x has a zero byte.
func zeroByte(x uint64) uint64 { return (x - ones) &^ x & highs }

// suspicious reports whether a byte of x may be special: below 0x20, a quote
// or a backslash.
func suspicious(x uint64) bool {
	low := (x - ones*0x20) &^ x & highs
	return low|zeroByte(x^ones*'\'')|zeroByte(x^ones*'"')|zeroByte(x^ones*'\\') != 0
}

// escapePairs has for every byte the one or two that stand for it, in memory's
// order, and above them how many they are.
var escapePairs = func() (t [256]uint32) {
	for i := range t {
		t[i] = uint32(i) | 1<<16
		if e := specials[i]; e != 0 {
			t[i] = '\\' | uint32(e)<<8 | 2<<16
		}
	}
	return t
}()

// appendEscaped appends s as it stands between the quotes of a string. It may read
// what is behind s in its array.
func appendEscaped(b, s []byte) []byte {
	if hasShuffle && len(s) > 0 {
		return appendShuffled(b, s)
	}
	return appendLookedUp(b, s)
}

// appendLookedUp is appendEscaped for any processor. Words without special
// bytes are copied; in others every byte is looked up, without branches: code and
// markup have a special byte every few words, and a wrong guess costs the
// processor more than eight look-ups.
func appendLookedUp(b, s []byte) []byte {
	b = slices.Grow(b, 2*len(s))
	to, n := b[len(b):cap(b)], 0
	for ; len(s) >= 8; s = s[8:] {
		x := binary.LittleEndian.Uint64(s)
		if !suspicious(x) {
			binary.LittleEndian.PutUint64(to[n:], x)
			n += 8
			continue
		}
		for range 8 {
			e := escapePairs[byte(x)]
			binary.LittleEndian.PutUint16(to[n:], uint16(e))
			n += int(e >> 16)
			x >>= 8
		}
	}
	for _, c := range s {
		e := escapePairs[c]
		binary.LittleEndian.PutUint16(to[n:], uint16(e))
		n += int(e >> 16)
	}
	return b[:len(b)+n]
}

// hexPairs has both digits for every byte, in memory's order.
var hexPairs = func() (t [256]uint16) {
	const digits = "0123456789ABCDEF"
	for i := range t {
		t[i] = uint16(digits[i>>4]) | uint16(digits[i&15])<<8
	}
	return t
}()

// appendHex appends two digits for each byte of s.
func appendHex(b, s []byte) []byte {
	b = slices.Grow(b, 2*len(s))
	to := b[len(b) : len(b)+2*len(s)]
	for i := hexShuffled(to, s); i < len(s); i++ {
		binary.LittleEndian.PutUint16(to[2*i:], hexPairs[s[i]])
	}
	return b[:len(b)+len(to)]
}
