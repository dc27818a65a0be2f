package archive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// carrierTag says what a piece of the file that decompressors skip is for.
type carrierTag uint8

const (
	tagPadding carrierTag = iota
	tagIndex
	tagTrailer
)

// The skippable frames of RFC 8878, 3.1.2: one of sixteen magic numbers, a
// length, and bytes that are passed over.
const (
	skipHeader   = 8
	skipPadding  = 0x184D2A50
	skipIndex    = 0x184D2A5E
	skipTrailer  = 0x184D2A5F
	zstdCarrier  = 1 << 20 // index bytes in one skippable frame
	gzipCarrier  = 64000   // index bytes in one empty member
	gzipHeader   = 12      // RFC 1952 header with FEXTRA, up to and with XLEN
	gzipSubfield = 4
	gzipTail     = 2 + 8 // an empty final deflate block, CRC and length
	gzipOverhead = gzipHeader + gzipSubfield + gzipTail
)

func (t carrierTag) magic() uint32 {
	switch t {
	case tagIndex:
		return skipIndex
	case tagTrailer:
		return skipTrailer
	}
	return skipPadding
}

// subfield returns the two letters of a gzip extra field, RFC 1952, 2.3.1.1.
func (t carrierTag) subfield() string {
	switch t {
	case tagIndex:
		return "Sk"
	case tagTrailer:
		return "St"
	}
	return "Sp"
}

// overhead returns how much longer a carrier is than what it carries.
func overhead(f Format) int64 {
	if f == TarGzip {
		return gzipOverhead
	}
	return skipHeader
}

// carrierPayload returns how much each carrier of the index holds, the last excepted.
func carrierPayload(f Format) int64 {
	if f == TarGzip {
		return gzipCarrier
	}
	return zstdCarrier
}

// appendCarrier appends a carrier of payload. For gzip that is at most 65,531 bytes.
func appendCarrier(dst []byte, f Format, tag carrierTag, payload []byte) []byte {
	if f == TarGzip {
		dst = append(dst, 0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(payload)+gzipSubfield))
		dst = append(dst, tag.subfield()...)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(payload)))
		dst = append(dst, payload...)
		return append(dst, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	dst = binary.LittleEndian.AppendUint32(dst, tag.magic())
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	return append(dst, payload...)
}

// paddingFor returns how much padding behind end makes it a multiple of align.
// It is 0, or enough for a carrier.
func paddingFor(f Format, end, align int64) int64 {
	if align == 0 {
		return 0
	}
	gap := padTo(end, align)
	for gap != 0 && gap < overhead(f) {
		gap += align
	}
	return gap
}

// appendPadding appends n bytes that decompress to nothing. n is 0 or what
// paddingFor returns.
func appendPadding(dst []byte, f Format, n int64) []byte {
	if n == 0 {
		return dst
	}
	return appendCarrier(dst, f, tagPadding, make([]byte, n-overhead(f)))
}

// The trailer's payload; FORMAT.md has the table.
const (
	trailerMagic   = "SITEKEEP"
	trailerVersion = 1
	trailerPayload = 120
	formatZstd     = 1
	formatGzip     = 2
)

// trailer is the fixed-size piece at the very end of a tarball.
type trailer struct {
	format      Format
	indexOffset int64 // of the first carrier of the index
	indexLength int64 // of all its carriers
	payload     int64 // bytes carried
	plain       int64 // bytes of records
	digest      Hash  // over the records
	region      Hash  // over the carriers
}

func trailerLength(f Format) int64 { return trailerPayload + overhead(f) }

func (t *trailer) encode() []byte {
	p := make([]byte, 0, trailerPayload)
	p = append(p, trailerMagic...)
	p = binary.LittleEndian.AppendUint16(p, trailerVersion)
	p = append(p, t.formatByte(), 0)
	for _, v := range []int64{t.indexOffset, t.indexLength, t.payload, t.plain} {
		p = binary.LittleEndian.AppendUint64(p, uint64(v))
	}
	p = append(p, t.digest[:]...)
	p = append(p, t.region[:]...)
	p = p[:trailerPayload]
	sealTrailer(p)
	return appendCarrier(nil, t.format, tagTrailer, p)
}

// sealTrailer writes the checksum at the end of the trailer's payload.
func sealTrailer(p []byte) { binary.LittleEndian.PutUint32(p[trailerPayload-4:], trailerSum(p)) }

func trailerSum(p []byte) uint32 {
	return crc32.Checksum(p[:trailerPayload-4], crc32.MakeTable(crc32.Castagnoli))
}

func (t *trailer) formatByte() byte {
	if t.format == TarGzip {
		return formatGzip
	}
	return formatZstd
}

// readTrailer finds the trailer at the end of a file. It fails with ErrNoIndex
// if there is none.
func readTrailer(r io.ReaderAt, size int64) (trailer, error) {
	for _, f := range Formats() {
		b, err := readTail(r, size, trailerLength(f))
		if err != nil {
			return trailer{}, err
		}
		if payload, ok := trailerIn(b, f); ok {
			return decodeTrailer(b, payload, f, size)
		}
	}
	return trailer{}, ErrNoIndex
}

func readTail(r io.ReaderAt, size, n int64) ([]byte, error) {
	if size < n {
		return nil, nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(r, size-n, n), b); err != nil {
		return nil, fmt.Errorf("read the trailer: %w", err)
	}
	return b, nil
}

// trailerIn returns the payload if b looks like a trailer in most of its bytes:
// one damaged bit must not turn our tarball into a foreign one.
func trailerIn(b []byte, f Format) ([]byte, bool) {
	if b == nil {
		return nil, false
	}
	want := appendCarrier(nil, f, tagTrailer, make([]byte, trailerPayload))
	start := gzipHeader + gzipSubfield
	if f == TarZstd {
		start = skipHeader
	}
	payload := b[start : start+trailerPayload]
	wrong := differing(b[:start], want[:start]) + differing(payload[:8], []byte(trailerMagic))
	return payload, wrong <= 2
}

func differing(a, b []byte) int {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func decodeTrailer(b, p []byte, f Format, size int64) (trailer, error) {
	at := size - int64(len(b))
	if trailerSum(p) != binary.LittleEndian.Uint32(p[trailerPayload-4:]) {
		return trailer{}, corruptAt(at, "the trailer differs from its checksum")
	}
	if v := binary.LittleEndian.Uint16(p[8:]); v > trailerVersion {
		return trailer{}, fmt.Errorf("tarball format %d: %w", v, ErrVersion)
	}
	t := trailer{
		format:      f,
		indexOffset: int64(binary.LittleEndian.Uint64(p[12:])),
		indexLength: int64(binary.LittleEndian.Uint64(p[20:])),
		payload:     int64(binary.LittleEndian.Uint64(p[28:])),
		plain:       int64(binary.LittleEndian.Uint64(p[36:])),
		digest:      Hash(p[44:76]),
		region:      Hash(p[76:108]),
	}
	if !bytes.Equal(t.encode(), b) {
		return trailer{}, corruptAt(at, "the trailer is not as it was written")
	}
	return t, t.check(at)
}

// check compares the trailer's numbers with each other and with where it stands.
func (t *trailer) check(at int64) error {
	if t.indexOffset < 0 || t.indexLength <= 0 || t.indexOffset > at || t.indexOffset+t.indexLength != at {
		return corruptAt(at, "the index is said to be at %d with %d bytes", t.indexOffset, t.indexLength)
	}
	if t.payload <= 0 || t.plain <= 0 || carriedLength(t.format, t.payload) != t.indexLength {
		return corruptAt(at, "an index of %d bytes does not take %d", t.payload, t.indexLength)
	}
	return nil
}

// carriedLength returns how long payload bytes of index are in the file.
func carriedLength(f Format, payload int64) int64 {
	if payload < 0 || payload > 1<<56 {
		return -1
	}
	each := carrierPayload(f)
	return payload + (payload+each-1)/each*overhead(f)
}

// carried reads the payload of consecutive carriers as one run of bytes. All
// but the last are full, so that a position needs no search.
type carried struct {
	src     io.ReaderAt
	format  Format
	offset  int64
	payload int64
}

// ReadAt reads payload bytes, as io.ReaderAt.
func (c *carried) ReadAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		if off >= c.payload {
			return done, io.EOF
		}
		n, err := c.readPiece(b[done:], off)
		done += n
		off += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (c *carried) readPiece(b []byte, off int64) (int, error) {
	each := carrierPayload(c.format)
	within := off % each
	n := min(int64(len(b)), each-within, c.payload-off)
	head := int64(skipHeader)
	if c.format == TarGzip {
		head = gzipHeader + gzipSubfield
	}
	at := c.offset + off/each*(each+overhead(c.format)) + head + within
	got, err := c.src.ReadAt(b[:n], at)
	if int64(got) == n {
		return got, nil
	}
	return got, fmt.Errorf("read the index: %w", err)
}
