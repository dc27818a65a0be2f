package archive

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNoIndex says that a file does not end with an index of ours: it was
	// made by another program, was compressed anew, or was cut. As a tarball it
	// may still be good.
	ErrNoIndex = errors.New("no sitekeep index at the end of the file")
	// ErrCorrupt says that bytes are not what they were when they were written.
	// The error is a [*CorruptError].
	ErrCorrupt = errors.New("corrupt")
	// ErrVersion says that the tarball was made by a newer version of the format.
	ErrVersion = errors.New("format version is newer than this program")
	// ErrNotFound says that the tarball has no such path, section or dump.
	ErrNotFound = errors.New("not in the tarball")
	// ErrNotRegular says that the entry has no content: a directory or symbolic link.
	ErrNotRegular = errors.New("not a regular file")
	// ErrUnsafe says that a tarball asks for something that extraction refuses: a
	// name that leaves the directory, a path through a symbolic link, a device.
	ErrUnsafe = errors.New("refused")
	// ErrIncomplete says that a stream ended before its end mark, or without the
	// summary that closes it.
	ErrIncomplete = errors.New("stream is incomplete")
	// ErrClosed says that a method was called after Finish, Close or Abort.
	ErrClosed = errors.New("already closed")
)

// CorruptError says where a tarball differs from what was written. It matches
// [ErrCorrupt] under errors.Is.
type CorruptError struct {
	// Offset is where in the file the damaged piece begins, -1 if unknown.
	Offset int64
	// Frame is the number of the damaged frame, -1 if it is not in a frame.
	Frame int64
	// Paths are the entries that are wholly or partly in the frame, when known.
	Paths []string
	// Detail says what is wrong.
	Detail string
}

// Error names the place, what is wrong and the entries that suffer.
func (e *CorruptError) Error() string {
	var b strings.Builder
	b.WriteString("corrupt")
	if e.Frame >= 0 {
		fmt.Fprintf(&b, " frame %d", e.Frame)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " at byte %d", e.Offset)
	}
	b.WriteString(": " + e.Detail)
	if len(e.Paths) > 0 {
		b.WriteString(" (" + abbreviate(e.Paths) + ")")
	}
	return b.String()
}

// Is reports whether target is ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

func abbreviate(paths []string) string {
	const most = 3
	shown := paths[:min(len(paths), most)]
	quoted := make([]string, len(shown))
	for i, p := range shown {
		quoted[i] = fmt.Sprintf("%q", p)
	}
	s := strings.Join(quoted, ", ")
	if rest := len(paths) - len(shown); rest > 0 {
		s += fmt.Sprintf(" and %d more", rest)
	}
	return s
}

func corruptAt(offset int64, format string, args ...any) *CorruptError {
	return &CorruptError{Offset: offset, Frame: -1, Detail: fmt.Sprintf(format, args...)}
}

func corruptFrame(info FrameInfo, format string, args ...any) *CorruptError {
	return &CorruptError{Offset: info.Offset, Frame: int64(info.Number), Detail: fmt.Sprintf(format, args...)}
}
