package archive

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compressor makes frames. It is for one goroutine; each worker has its own.
type compressor struct {
	format Format
	zstd   *zstd.Encoder
	// gzipDense and gzipSparse are for data that compresses and data that does not.
	gzipDense, gzipSparse *gzip.Writer
}

// newCompressor returns a compressor whose memory depends on window, the most
// bytes a frame will decompress to, but not on how many frames it makes.
func newCompressor(c Codec, window int) (*compressor, error) {
	if c.format == TarGzip {
		return newGzipCompressor(c.level)
	}
	if c.format != TarZstd {
		return nil, errors.New("no codec: use archive.NewCodec")
	}
	return newZstdCompressor(c.level, window)
}

func newZstdCompressor(level, window int) (*compressor, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(ceilPowerOfTwo(window)),
		zstd.WithEncoderCRC(true), zstd.WithZeroFrames(true), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	return &compressor{format: TarZstd, zstd: enc}, nil
}

func newGzipCompressor(level int) (*compressor, error) {
	dense, err := gzip.NewWriterLevel(nil, level)
	if err != nil {
		return nil, fmt.Errorf("gzip encoder: %w", err)
	}
	sparse, err := gzip.NewWriterLevel(nil, gzip.NoCompression)
	if err != nil {
		return nil, fmt.Errorf("gzip encoder: %w", err)
	}
	return &compressor{format: TarGzip, gzipDense: dense, gzipSparse: sparse}, nil
}

// ceilPowerOfTwo returns a valid zstd window of at least n bytes.
func ceilPowerOfTwo(n int) int {
	w := zstd.MinWindowSize
	for w < n {
		w *= 2
	}
	return w
}

// compress appends one frame that holds plain to dst[:0]. zstd passes over what
// does not compress by itself, at 3 GB/s; deflate has to be told.
func (c *compressor) compress(dst, plain []byte) ([]byte, error) {
	if c.format == TarZstd {
		return c.zstd.EncodeAll(plain, dst[:0]), nil
	}
	enc := c.gzipDense
	if looksIncompressible(plain) {
		enc = c.gzipSparse
	}
	return gzipAll(enc, dst[:0], plain)
}

func gzipAll(enc *gzip.Writer, dst, plain []byte) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	enc.Reset(buf)
	enc.OS = 255
	if _, err := enc.Write(plain); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return buf.Bytes(), nil
}

// looksIncompressible samples b, as media and archives are. The samples must look
// like noise together: one alone is too short to tell that of all noise.
func looksIncompressible(b []byte) bool {
	const (
		sample  = 4 << 10
		samples = 5
		most    = 0.05 // mean of compress.Estimate: at 0.1 data likely compresses
	)
	if len(b) < sample*samples {
		return false
	}
	step, sum := (len(b)-sample)/(samples-1), 0.0
	for i := range samples {
		sum += compress.Estimate(b[i*step:][:sample])
	}
	return sum <= most*samples
}

// frame compresses plain into a frame without entries, its data in dst's array
// if that is large enough.
func (c *compressor) frame(kind Kind, dst, plain []byte) (Frame, error) {
	data, err := c.compress(dst, plain)
	if err != nil {
		return Frame{}, err
	}
	return Frame{
		Kind: kind, Data: data, PlainLength: int64(len(plain)),
		Hash: sha256.Sum256(data), PlainHash: sha256.Sum256(plain),
	}, nil
}

// decompressor undoes a compressor. It is for one goroutine.
type decompressor struct {
	format Format
	zstd   *zstd.Decoder
	gzip   *gzip.Reader
	input  bytes.Reader
}

func newDecompressor(f Format) (*decompressor, error) {
	d := &decompressor{format: f}
	switch f {
	case TarGzip:
		d.gzip = new(gzip.Reader)
		return d, nil
	case TarZstd:
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
			zstd.WithDecoderMaxMemory(MaxPlainLength), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("zstd decoder: %w", err)
		}
		d.zstd = dec
		return d, nil
	}
	return nil, fmt.Errorf("unknown tarball format %q", string(f))
}

func (d *decompressor) close() {
	if d.zstd != nil {
		d.zstd.Close()
	}
}

// decompress returns what data holds, in dst's array if that is large enough. It
// fails if that is not exactly length bytes, and never makes more than that.
func (d *decompressor) decompress(dst, data []byte, length int64) ([]byte, error) {
	if length < 0 || length > MaxPlainLength {
		return nil, fmt.Errorf("plain length %d is out of range", length)
	}
	dst = grow(dst, int(length))
	if d.format == TarGzip {
		return d.gunzip(dst[:length], data)
	}
	out, err := d.zstd.DecodeAll(data, dst[:0:length])
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	if int64(len(out)) != length {
		return nil, fmt.Errorf("zstd: %d bytes instead of %d", len(out), length)
	}
	return out, nil
}

func (d *decompressor) gunzip(dst, data []byte) ([]byte, error) {
	d.input.Reset(data)
	if err := d.gzip.Reset(&d.input); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	d.gzip.Multistream(false)
	if _, err := io.ReadFull(d.gzip, dst); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	var more [1]byte
	if n, err := d.gzip.Read(more[:]); n != 0 || !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("gzip: the member does not end behind %d bytes: %w", len(dst), errors.Join(err, errMore))
	}
	if d.input.Len() != 0 {
		return nil, fmt.Errorf("gzip: %d bytes behind the member", d.input.Len())
	}
	return dst, nil
}

var errMore = errors.New("wrong length")

// grow returns b with room for n bytes.
func grow(b []byte, n int) []byte {
	if cap(b) >= n {
		return b[:cap(b)]
	}
	return make([]byte, n)
}

// plain returns a frame's plain bytes and checks their hash.
func (d *decompressor) plain(dst []byte, f *Frame) ([]byte, error) {
	out, err := d.decompress(dst, f.Data, f.PlainLength)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(out) != f.PlainHash {
		return nil, errors.New("plain bytes differ from their hash")
	}
	return out, nil
}
