package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// diagnose tells what is wrong with a tarball that cannot be opened.
func diagnose(ctx context.Context, r io.ReaderAt, size int64, opts VerifyOptions, cause error) (VerifyReport, error) {
	var c *CorruptError
	if errors.As(cause, &c) {
		return VerifyReport{Size: size, Problems: []*CorruptError{c}, Found: 1}, c
	}
	if !errors.Is(cause, ErrNoIndex) {
		return VerifyReport{Size: size}, cause
	}
	end, err := findTrailer(ctx, r, size)
	if err != nil {
		return VerifyReport{Size: size}, err
	}
	if end > 0 {
		return verifyWithTail(ctx, r, size, end, opts)
	}
	return findCut(ctx, r, size)
}

// verifyWithTail checks a tarball that has something behind its end.
func verifyWithTail(ctx context.Context, r io.ReaderAt, size, end int64, opts VerifyOptions) (VerifyReport, error) {
	report, err := Verify(ctx, io.NewSectionReader(r, 0, end), end, opts)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return report, err
	}
	tail := corruptAt(end, "%d bytes stand behind the end mark", size-end)
	report.Problems = append([]*CorruptError{tail}, report.Problems...)
	report.Found++
	report.Size = size
	return report, tail
}

// findTrailer looks through a whole file for a trailer of ours and returns where
// the last one ends, 0 if there is none.
func findTrailer(ctx context.Context, r io.ReaderAt, size int64) (int64, error) {
	const chunk = 1 << 20
	head := int64(gzipHeader + gzipSubfield)
	overlap := trailerLength(TarGzip)
	buf := make([]byte, chunk+overlap)
	found := int64(0)
	for off := int64(0); off < size; off += chunk {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		b := buf[:min(int64(len(buf)), size-off)]
		if _, err := r.ReadAt(b, off); err != nil && err != io.EOF {
			return 0, fmt.Errorf("read tarball: %w", err)
		}
		for at := 0; ; at++ {
			i := bytes.Index(b[at:], []byte(trailerMagic))
			if i < 0 {
				break
			}
			at += i
			for _, end := range []int64{
				off + int64(at) - skipHeader + trailerLength(TarZstd),
				off + int64(at) - head + trailerLength(TarGzip),
			} {
				if end > found && end <= size && hasTrailer(r, end) {
					found = end
				}
			}
		}
	}
	return found, nil
}

func hasTrailer(r io.ReaderAt, end int64) bool {
	_, err := readTrailer(r, end)
	return err == nil
}

// findCut goes through the frames of a file without an index, up to where it ends.
func findCut(ctx context.Context, r io.ReaderAt, size int64) (VerifyReport, error) {
	report := VerifyReport{Size: size}
	dec, err := newDecompressor(TarZstd)
	if err != nil {
		return report, err
	}
	defer dec.close()
	scan := &frameScan{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10), dec: dec}
	pipe, feed := io.Pipe()
	done := make(chan string)
	go func() {
		last := lastPath(pipe)
		_ = pipe.Close() // the rest of the stream tells nothing more
		done <- last
	}()
	err = scan.all(ctx, feed)
	_ = feed.Close()
	last := <-done
	switch {
	case ctx.Err() != nil:
		return report, ctx.Err()
	case err == nil || errors.Is(err, errForeign) || scan.frames < 1:
		return report, ErrNoIndex
	}
	p := &CorruptError{Offset: scan.start, Frame: scan.frames, Detail: fmt.Sprintf("the file has no index and ends here: %v", err)}
	if last != "" {
		p.Paths = []string{last}
	}
	report.Problems, report.Found = []*CorruptError{p}, 1
	return report, fmt.Errorf("%w: %w", ErrNoIndex, p)
}

// lastPath returns the last path of a tar stream that may be cut.
func lastPath(r io.Reader) string {
	last := ""
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return last
		}
		last = headerPath(h)
	}
}

var errForeign = errors.New("not made of frames")

// frameScan goes from frame to frame without an index.
type frameScan struct {
	r      *bufio.Reader
	pos    int64
	start  int64 // of the frame
	frames int64
	zeros  int
	dec    *decompressor
	buf    []byte
}

// all decompresses frames into w up to the end of the file. nil means that the
// file ends with a frame.
func (s *frameScan) all(ctx context.Context, w io.Writer) error {
	head, err := s.r.Peek(4)
	if err != nil {
		return errForeign
	}
	frame := s.zstdFrame
	if head[0] == 0x1f && head[1] == 0x8b {
		frame = s.gzipMember
	} else if binary.LittleEndian.Uint32(head) != 0xFD2FB528 {
		return errForeign
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := s.r.Peek(1); err == io.EOF {
			return s.ended()
		}
		s.start = s.pos
		plain, err := frame()
		if err != nil {
			return err
		}
		if len(plain) > 0 {
			s.frames++
			s.note(plain)
			_, _ = w.Write(plain) // who reads may have seen enough
		}
	}
}

// ended judges a file that ends behind a frame. If the tar stream has ended too,
// it is a whole tarball that has no index of ours, or has lost it.
func (s *frameScan) ended() error {
	s.start = s.pos
	if s.zeros >= endBlocks {
		return nil
	}
	return errors.New("behind a whole frame")
}

// note counts the zero bytes that the tar stream ends with so far.
func (s *frameScan) note(plain []byte) {
	kept := len(bytes.TrimRight(plain, "\x00"))
	if kept > 0 {
		s.zeros = 0
	}
	s.zeros += len(plain) - kept
}

// gzipMember reads a member.
func (s *frameScan) gzipMember() ([]byte, error) {
	in := &byteCounter{r: s.r}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("a gzip member is cut or damaged: %w", err)
	}
	z.Multistream(false)
	plain, err := io.ReadAll(io.LimitReader(z, MaxPlainLength+1))
	if err != nil {
		return nil, fmt.Errorf("a gzip member is cut or damaged: %w", err)
	}
	if len(plain) > MaxPlainLength {
		return nil, errForeign
	}
	s.pos += in.n
	return plain, nil
}

// byteCounter counts bytes that are read; being an io.ByteReader, it is not read
// ahead of.
type byteCounter struct {
	r *bufio.Reader
	n int64
}

// Read reads and counts.
func (b *byteCounter) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	return n, err
}

// ReadByte reads and counts.
func (b *byteCounter) ReadByte() (byte, error) {
	c, err := b.r.ReadByte()
	if err == nil {
		b.n++
	}
	return c, err
}

// zstdFrame reads a frame, or nothing for a skippable one.
func (s *frameScan) zstdFrame() ([]byte, error) {
	head, _ := s.r.Peek(zstd.HeaderMaxSize)
	var h zstd.Header
	if err := h.Decode(head); err != nil {
		return nil, fmt.Errorf("a zstd frame is cut or damaged: %w", err)
	}
	if h.Skippable {
		return nil, s.pass(int64(h.SkippableSize) + skipHeader)
	}
	if h.HasFCS && h.FrameContentSize > MaxPlainLength {
		return nil, errForeign
	}
	data, err := s.zstdData(&h)
	if err != nil {
		return nil, fmt.Errorf("a zstd frame is cut or damaged: %w", err)
	}
	s.pos += int64(len(data))
	if s.buf == nil {
		s.buf = make([]byte, 0, MaxPlainLength)
	}
	plain, err := s.dec.zstd.DecodeAll(data, s.buf) // a short frame does not tell its length
	if err != nil {
		return nil, fmt.Errorf("a zstd frame is damaged: %w", err)
	}
	return plain, nil
}

func (s *frameScan) pass(n int64) error {
	got, err := io.CopyN(io.Discard, onlyReader{s.r}, n)
	s.pos += got
	if err != nil {
		return errors.New("padding or the index is cut")
	}
	return nil
}

// zstdData reads a frame block by block, RFC 8878, 3.1.1.2.
func (s *frameScan) zstdData(h *zstd.Header) ([]byte, error) {
	data, err := s.take(nil, h.HeaderSize)
	for last := false; err == nil && !last; {
		if data, err = s.take(data, 3); err != nil {
			break
		}
		b := data[len(data)-3:]
		head := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		last = head&1 != 0
		size := head >> 3
		if head>>1&3 == 1 {
			size = 1 // a run of one byte
		}
		data, err = s.take(data, size)
	}
	if err == nil && h.HasCheckSum {
		data, err = s.take(data, 4)
	}
	return data, err
}

func (s *frameScan) take(data []byte, n int) ([]byte, error) {
	at := len(data)
	if at+n > MaxDataLength {
		return data, errForeign
	}
	data = append(data, make([]byte, n)...)
	_, err := io.ReadFull(s.r, data[at:])
	return data, err
}
