package archive

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// span is a run of bytes of a file that is to be copied.
type span struct {
	src    io.ReaderAt
	offset int64
	length int64
	stored bool // in an earlier tarball, whose pages are clean
}

// copySpan copies s to dst at offset at, by sharing blocks where both files and
// both offsets allow it, else inside the kernel, else through memory. It returns
// how many bytes are shared.
func copySpan(dst *os.File, at int64, s span, align int64) (shared int64, err error) {
	src, ok := s.src.(*os.File)
	if !ok {
		return 0, copyThroughMemory(dst, at, s)
	}
	if align > 0 && at%align == 0 && s.offset%align == 0 {
		whole := s.length - s.length%align
		if whole > 0 && cloneRange(dst, at, src, s.offset, whole) == nil {
			shared = whole
		}
	}
	rest := span{src: src, offset: s.offset + shared, length: s.length - shared}
	return shared, copyInKernel(dst, at+shared, rest, src)
}

func cloneRange(dst *os.File, at int64, src *os.File, offset, length int64) error {
	arg := unix.FileCloneRange{
		Src_fd: int64(src.Fd()), Src_offset: uint64(offset), Src_length: uint64(length), Dest_offset: uint64(at),
	}
	return unix.IoctlFileCloneRange(int(dst.Fd()), &arg)
}

func copyInKernel(dst *os.File, at int64, s span, src *os.File) error {
	const most = 1 << 30
	for s.length > 0 {
		from, to := s.offset, at
		n, err := unix.CopyFileRange(int(src.Fd()), &from, int(dst.Fd()), &to, int(min(s.length, most)), 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if notSupported(err) {
			return copyThroughMemory(dst, at, s)
		}
		if err != nil {
			return fmt.Errorf("copy from %s to %s: %w", src.Name(), dst.Name(), err)
		}
		if n == 0 {
			return corruptAt(s.offset, "%s ends before its frames do", src.Name())
		}
		s.offset, s.length, at = s.offset+int64(n), s.length-int64(n), at+int64(n)
	}
	return nil
}

func notSupported(err error) bool {
	for _, e := range []error{unix.EXDEV, unix.ENOSYS, unix.EINVAL, unix.EOPNOTSUPP, unix.EPERM, unix.EBADF} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func copyThroughMemory(dst *os.File, at int64, s span) error {
	buf := make([]byte, min(s.length, 256<<10))
	n, err := io.CopyBuffer(onlyWriter{io.NewOffsetWriter(dst, at)}, onlyReader{io.NewSectionReader(s.src, s.offset, s.length)}, buf)
	if err != nil {
		return fmt.Errorf("copy to %s: %w", dst.Name(), err)
	}
	if n != s.length {
		return corruptAt(s.offset+n, "the base ends before its frames do")
	}
	return nil
}

// onlyReader and onlyWriter hide methods that io.CopyBuffer would prefer to its buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// ProbeSharedBlocks tells whether files in dir can share blocks, and the block
// size to use as AssemblerOptions.Align; 0 means they cannot.
func ProbeSharedBlocks(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("probe %s: %w", dir, err)
	}
	align := int64(fs.Bsize)
	if align < blockSize || align > maxAlign || align&(align-1) != 0 {
		return 0, nil
	}
	a, err := spoolFile(dir)
	if err != nil {
		return 0, err
	}
	defer a.Close()
	b, err := spoolFile(dir)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	if _, err := a.Write(make([]byte, align)); err != nil {
		return 0, fmt.Errorf("probe %s: %w", dir, err)
	}
	if cloneRange(b, 0, a, 0, align) != nil {
		return 0, nil
	}
	return align, nil
}

// maxAlign is the largest alignment whose padding one empty gzip member holds.
const maxAlign = 32 << 10

// spoolFile returns a file without a name: nothing of it is left after a crash.
func spoolFile(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), dir+"/(spool)"), nil
	}
	f, err := os.CreateTemp(dir, ".spool-*")
	if err != nil {
		return nil, fmt.Errorf("make a spool file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("make a spool file: %w", err), f.Close())
	}
	return f, nil
}
