package intake

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// packing is what bytes are compressed with.
type packing string

const (
	plain   packing = ""
	gzipped         = packing("gzip")
	bzipped         = packing("bzip2")
	xzed            = packing("xz")
	zstded          = packing("zstd")
)

// magics are the first bytes of each packing: RFC 1952, the bzip2 and xz file formats, RFC 8878 with skippable frames.
var magics = []struct {
	packing
	bytes string
}{
	{gzipped, "\x1f\x8b"}, {bzipped, "BZh"}, {xzed, "\xfd7zXZ\x00"}, {zstded, "\x28\xb5\x2f\xfd"},
}

// longestMagic is enough to know a packing.
const longestMagic = 6

// packingOf tells a packing by the first bytes.
func packingOf(first []byte) packing {
	for _, m := range magics {
		if bytes.HasPrefix(first, []byte(m.bytes)) {
			return m.packing
		}
	}
	if len(first) >= 4 && first[0]&0xf0 == 0x50 && bytes.HasPrefix(first[1:], []byte("\x2a\x4d\x18")) {
		return zstded // a skippable frame
	}
	return plain
}

// maxWindow bounds what a compressed stream may ask of memory: what zstd --long and xz -9 make.
const maxWindow = 128 << 20

// unpack returns what r holds, whatever it is packed with. Close frees it; it does not close r.
func unpack(ctx context.Context, r *bufio.Reader) (io.ReadCloser, packing, error) {
	first, err := r.Peek(longestMagic)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, plain, err
	}
	switch p := packingOf(first); p {
	case gzipped:
		z, err := gzip.NewReader(r)
		return z, p, err
	case bzipped:
		return io.NopCloser(bzip2.NewReader(r)), p, nil
	case zstded:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, p, err
		}
		return z.IOReadCloser(), p, nil
	case xzed:
		z, err := startXZ(ctx, r)
		return z, p, err
	}
	return io.NopCloser(r), plain, nil
}

// xzReader is what the program xz unpacks.
type xzReader struct {
	io.Reader
	cmd    *exec.Cmd
	stop   context.CancelFunc
	errors bytes.Buffer
	ended  bool
}

// startXZ runs xz, because no library at hand bounds what a hostile header asks of memory; the program does.
func startXZ(ctx context.Context, r io.Reader) (*xzReader, error) {
	const name = "xz"
	program, err := exec.LookPath(name)
	if err != nil {
		return nil, errs.New(errs.Precondition, "install it on the master (Debian: apt install xz-utils), or pack the tarball with gzip or zstd",
			"the program xz is needed to unpack it: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	x := &xzReader{cmd: exec.CommandContext(ctx, program, "--decompress", "--stdout", fmt.Sprintf("--memlimit-decompress=%d", 2*maxWindow)), stop: stop}
	x.cmd.Stdin, x.cmd.Stderr, x.cmd.Env, x.cmd.WaitDelay = r, &x.errors, []string{"LC_ALL=C"}, time.Second
	out, err := x.cmd.StdoutPipe()
	if err == nil {
		err = x.cmd.Start()
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	x.Reader = out
	return x, nil
}

// Read returns what is wrong with the stream at its end.
func (x *xzReader) Read(p []byte) (int, error) {
	n, err := x.Reader.Read(p)
	if !errors.Is(err, io.EOF) || x.ended {
		return n, err
	}
	x.ended = true
	if werr := x.cmd.Wait(); werr != nil {
		return n, fmt.Errorf("xz: %w: %s", werr, strings.TrimSpace(x.errors.String()))
	}
	return n, io.EOF
}

// Close ends the program.
func (x *xzReader) Close() error {
	x.stop()
	if !x.ended {
		x.ended = true
		_ = x.cmd.Wait() // it was killed
	}
	return nil
}
