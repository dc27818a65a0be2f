package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// block is where a block of the index lies, and what stands before it.
type block struct {
	offset     int64 // in the payload
	packed     int64
	plain      int64
	firstFrame uint64 // number of frames before it
	after      string // site path of the last walked entry before it
}

// index reads blocks of records. It holds a line for each block and nothing else.
type index struct {
	payload io.ReaderAt
	length  int64
	decoder *zstd.Decoder
	blocks  []block
}

func newIndex(payload io.ReaderAt, length int64) (*index, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(blockPlainMost), zstd.WithDecoderMaxWindow(blockPlainMost))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	return &index{payload: payload, length: length, decoder: dec}, nil
}

// blockBuffer is what one pass through the index reuses.
type blockBuffer struct{ packed, plain []byte }

// readBlock reads the block at offset in the payload.
func (x *index) readBlock(offset int64, buf *blockBuffer) (block, error) {
	var head [blockHeader]byte
	if _, err := io.ReadFull(io.NewSectionReader(x.payload, offset, x.length-offset), head[:]); err != nil {
		return block{}, fmt.Errorf("block at %d: %w", offset, err)
	}
	b := block{
		offset: offset,
		packed: int64(binary.LittleEndian.Uint32(head[:])),
		plain:  int64(binary.LittleEndian.Uint32(head[4:])),
	}
	if b.plain == 0 || b.plain > blockPlainMost || b.packed > x.length-offset-blockHeader {
		return block{}, fmt.Errorf("block at %d: lengths %d and %d", offset, b.packed, b.plain)
	}
	buf.packed = grow(buf.packed, int(b.packed))[:b.packed]
	if _, err := io.ReadFull(io.NewSectionReader(x.payload, offset+blockHeader, b.packed), buf.packed); err != nil {
		return block{}, fmt.Errorf("block at %d: %w", offset, err)
	}
	return b, x.unpack(&b, buf)
}

func (x *index) unpack(b *block, buf *blockBuffer) error {
	buf.plain = grow(buf.plain, int(b.plain))
	out, err := x.decoder.DecodeAll(buf.packed, buf.plain[:0:b.plain])
	if err != nil {
		return fmt.Errorf("block at %d: %w", b.offset, err)
	}
	if int64(len(out)) != b.plain {
		return fmt.Errorf("block at %d: %d bytes instead of %d", b.offset, len(out), b.plain)
	}
	buf.plain = buf.plain[:b.plain] // not out, whose capacity ends with it: the next block may be longer
	return nil
}

func (b *block) end() int64 { return b.offset + blockHeader + b.packed }

// record is one record of the index, not yet decoded. body is valid until the next.
type record struct {
	field protowire.Number
	body  []byte
	// frame is the number of the last frame so far.
	frame uint64
}

// eachRecord calls fn for the records of a block; frames is how many frames
// stand before it. It returns how many stand behind it.
func eachRecord(plain []byte, frames uint64, fn func(record) error) (uint64, error) {
	for len(plain) > 0 {
		size, n := protowire.ConsumeVarint(plain)
		if n < 0 || size > uint64(len(plain)-n) {
			return frames, errors.New("record is cut")
		}
		rec, err := parseRecord(plain[n : n+int(size)])
		if err != nil {
			return frames, err
		}
		if rec.field == fieldFrame {
			frames++
		}
		rec.frame = frames - 1
		if err := fn(rec); err != nil {
			return frames, err
		}
		plain = plain[n+int(size):]
	}
	return frames, nil
}

func parseRecord(b []byte) (record, error) {
	field, typ, n := protowire.ConsumeTag(b)
	if n < 0 || typ != protowire.BytesType {
		return record{}, errors.New("record without a message")
	}
	body, m := protowire.ConsumeBytes(b[n:])
	if m < 0 || n+m != len(b) {
		return record{}, errors.New("record of a wrong length")
	}
	return record{field: field, body: body}, nil
}

var errStop = errors.New("stop")

// records yields the records from a block on.
func (x *index) records(from int) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		var buf blockBuffer
		for i := from; i < len(x.blocks); i++ {
			_, err := x.readBlock(x.blocks[i].offset, &buf)
			if err == nil {
				_, err = eachRecord(buf.plain, x.blocks[i].firstFrame, func(r record) error {
					if !yield(r, nil) {
						return errStop
					}
					return nil
				})
			}
			if errors.Is(err, errStop) {
				return
			}
			if err != nil {
				yield(record{}, corruptAt(-1, "index: %v", err))
				return
			}
		}
	}
}

// blockOfFrame returns the block that has the record of frame n.
func (x *index) blockOfFrame(n uint64) int {
	return max(sort.Search(len(x.blocks), func(i int) bool { return x.blocks[i].firstFrame > n })-1, 0)
}

// blockOfPath returns the block that has the entry with a path in the site, if any does.
func (x *index) blockOfPath(name string) int {
	first := sort.Search(len(x.blocks), func(i int) bool {
		return x.blocks[i].after != "" && ComparePaths(x.blocks[i].after, name) >= 0
	})
	return max(first-1, 0)
}

// frame decodes a frame's record.
func (r *record) frameInfo() (FrameInfo, error) {
	var p archivev1.FrameRecord
	if err := proto.Unmarshal(r.body, &p); err != nil {
		return FrameInfo{}, fmt.Errorf("frame %d: %w", r.frame, err)
	}
	f, err := frameFromProto(&p)
	f.Number = r.frame
	if err != nil {
		return f, fmt.Errorf("frame %d: %w", r.frame, err)
	}
	return f, nil
}

// entry decodes an entry's record into e.
func (r *record) entry(d *EntryDecoder, e *Entry) error {
	if err := d.Decode(r.body, e); err != nil {
		return corruptAt(-1, "index: entry of frame %d: %v", r.frame, err)
	}
	if e.Span > r.frame {
		return corruptAt(-1, "index: entry %q begins before the first frame", e.Path)
	}
	e.Frame = r.frame - e.Span
	return nil
}

func (r *record) section() (Section, error) {
	var p archivev1.Section
	if err := proto.Unmarshal(r.body, &p); err != nil {
		return Section{}, fmt.Errorf("section: %w", err)
	}
	return SectionFromProto(&p)
}

// name returns an entry's path and path in the site without decoding the rest:
// they are the first fields.
func (r *record) name() (path, site []byte) {
	b := r.body
	for len(b) > 0 {
		field, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ != protowire.BytesType || field > 2 {
			break
		}
		v, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			break
		}
		if field == 1 {
			path = v
		} else {
			site = v
		}
		b = b[n+m:]
	}
	if len(site) == 0 {
		site = path
	}
	return path, site
}
