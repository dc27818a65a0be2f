package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

const (
	// blockPlain is how many bytes of records a block of the index gathers before
	// the next frame's record begins another one.
	blockPlain = 256 << 10
	// blockPlainMost is the most that a reader accepts.
	blockPlainMost = 16 << 20
	// blockHeader is a block's compressed and plain length, four bytes each.
	blockHeader = 8
)

// indexWriter writes the records of an index as blocks: runs of whole records,
// compressed independently. It keeps one block in memory.
type indexWriter struct {
	w       io.Writer
	encoder *zstd.Encoder
	block   []byte
	scratch []byte
	packed  []byte

	sum     hash.Hash
	payload int64 // bytes written to w
	plain   int64 // bytes of records
	counts  Counts
}

func newIndexWriter(w io.Writer) (*indexWriter, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(blockPlain),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	return &indexWriter{w: w, encoder: enc, sum: sha256.New()}, nil
}

// frame writes a frame's record and those of the entries that end in it.
func (w *indexWriter) frame(f *FrameInfo, entries []Entry) error {
	if err := w.breakBlock(); err != nil {
		return err
	}
	w.counts.Frames++
	w.counts.PlainBytes += f.PlainLength
	if err := w.record(fieldFrame, frameToProto(f)); err != nil {
		return err
	}
	for i := range entries {
		w.counts.Entries++
		if err := w.entryRecord(&entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// entryRecord appends an entry's record.
func (w *indexWriter) entryRecord(e *Entry) error {
	w.scratch = AppendEntry(w.scratch[:0], e)
	return w.append(fieldEntry, w.scratch)
}

func (w *indexWriter) section(s *Section) error {
	w.counts.Sections++
	return w.single(fieldSection, SectionToProto(s))
}

func (w *indexWriter) single(field protowire.Number, m proto.Message) error {
	if err := w.breakBlock(); err != nil {
		return err
	}
	return w.record(field, m)
}

// close writes the manifest, the end mark and the last block.
func (w *indexWriter) close(m *archivev1.Manifest) error {
	if err := w.single(fieldManifest, m); err != nil {
		return err
	}
	err := w.single(fieldEnd, &archivev1.IndexEnd{
		Frames: uint64(w.counts.Frames), Entries: uint64(w.counts.Entries),
		Sections: uint64(w.counts.Sections), PlainLength: uint64(w.counts.PlainBytes),
	})
	if err != nil {
		return err
	}
	return w.flush()
}

// record appends a Record message that has m in the given field.
func (w *indexWriter) record(field protowire.Number, m proto.Message) error {
	body, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(w.scratch[:0], m)
	if err != nil {
		return fmt.Errorf("encode index record: %w", err)
	}
	w.scratch = body
	return w.append(field, body)
}

// append appends a Record message that has an encoded one in the given field.
func (w *indexWriter) append(field protowire.Number, body []byte) error {
	size := protowire.SizeTag(field) + protowire.SizeBytes(len(body))
	w.block = protowire.AppendVarint(w.block, uint64(size))
	w.block = protowire.AppendTag(w.block, field, protowire.BytesType)
	w.block = protowire.AppendBytes(w.block, body)
	if len(w.block) > blockPlainMost {
		return fmt.Errorf("a frame's index records take more than %d bytes", blockPlainMost)
	}
	return nil
}

func (w *indexWriter) breakBlock() error {
	if len(w.block) < blockPlain {
		return nil
	}
	return w.flush()
}

// flush writes the block that is begun.
func (w *indexWriter) flush() error {
	if len(w.block) == 0 {
		return nil
	}
	w.sum.Write(w.block)
	w.packed = append(w.packed[:0], make([]byte, blockHeader)...)
	w.packed = w.encoder.EncodeAll(w.block, w.packed)
	binary.LittleEndian.PutUint32(w.packed, uint32(len(w.packed)-blockHeader))
	binary.LittleEndian.PutUint32(w.packed[4:], uint32(len(w.block)))
	if _, err := w.w.Write(w.packed); err != nil {
		return fmt.Errorf("write the index: %w", err)
	}
	w.payload += int64(len(w.packed))
	w.plain += int64(len(w.block))
	w.block = w.block[:0]
	return nil
}

func (w *indexWriter) digest() Hash { return Hash(w.sum.Sum(nil)) }

// The fields of a Record message.
const (
	fieldFrame protowire.Number = iota + 1
	fieldEntry
	fieldSection
	fieldManifest
	fieldEnd
)
