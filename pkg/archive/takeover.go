package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// taker takes files over from one tree into another. Each goroutine has its own.
type taker struct {
	ctx   context.Context
	delta *Delta
	make  *extraction // sets metadata
	from  parents
	into  parents
	// noClone says that the file system cannot share blocks.
	noClone bool
}

func newTaker(ctx context.Context, d *Delta) *taker {
	k := &taker{ctx: ctx, delta: d, make: d.extraction(ctx), into: parents{root: d.staged}}
	if d.live != nil {
		k.from.root = d.live
	}
	return k
}

func (k *taker) close() {
	k.from.close()
	k.into.close()
}

// unit takes over the files of a unit and returns how many of them, with how
// many bytes, and how many are not there. An error is one of writing.
func (k *taker) unit(u *unit) (took Totals, missing int64, err error) {
	for i := range u.entries {
		e := &u.entries[i]
		if e.Type != TypeRegular {
			continue
		}
		if err := k.ctx.Err(); err != nil {
			return took, missing, context.Cause(k.ctx)
		}
		taken, err := k.file(e)
		if err != nil {
			return took, missing, fmt.Errorf("%q: %w", e.Name(), err)
		}
		if taken {
			took.add(e)
		} else {
			missing++
		}
	}
	return took, missing, nil
}

// file takes over one file. If it reports false, nothing has the file's name.
func (k *taker) file(e *Entry) (taken bool, err error) {
	if k.delta.opts.Resume {
		if kept, err := k.keep(e); kept || err != nil {
			return kept, err
		}
	}
	return k.fromLive(e)
}

// keep keeps a file that an earlier Delta has made. One that it did not come to
// the end of, or that did not outlive a power cut, is removed.
func (k *taker) keep(e *Entry) (kept bool, err error) {
	dir, name, err := k.into.of(e.Name())
	if err != nil {
		return false, err
	}
	fd, err := openQuietly(dir, name, openRead)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err == nil {
		if k.hasHash(fd, e) {
			return true, k.make.complete(fd, dir, name, e)
		}
		err = unix.Close(fd)
	}
	return false, errors.Join(err, unix.Unlinkat(dir, name, 0))
}

// fromLive takes a file over from the other tree.
func (k *taker) fromLive(e *Entry) (taken bool, err error) {
	var before unix.Stat_t
	src, ok := k.find(e, &before)
	if !ok {
		return false, nil
	}
	if src >= 0 {
		defer unix.Close(src)
	}
	dir, name, err := k.into.of(e.Name())
	if err != nil {
		return false, err
	}
	if moved, err := k.move(dir, name, src, e, &before); moved || err != nil {
		return moved, err
	}
	fd, err := openNew(dir, name, e.Mode&0o777)
	if errors.Is(err, unix.EEXIST) {
		return false, corruptAt(-1, "the index lists it twice")
	}
	if err != nil {
		return false, err
	}
	same, err := k.content(fd, src, e, &before)
	if same {
		return true, k.make.complete(fd, dir, name, e)
	}
	return false, errors.Join(err, unix.Close(fd), unix.Unlinkat(dir, name, 0))
}

// move moves a file that nobody else has, if its content and its attributes are
// the recorded ones; the rest of its metadata is set as on a copy. If it reports
// false, the file is to be copied.
func (k *taker) move(dir int, name string, src int, e *Entry, st *unix.Stat_t) (moved bool, err error) {
	if !k.delta.opts.Move || src < 0 || st.Nlink != 1 {
		return false, nil
	}
	xattrs, problem := readXattrs(src)
	if problem != "" || !slices.Equal(xattrs, e.Xattrs) || !k.hasHash(src, e) {
		return false, nil
	}
	from, old, err := k.from.of(e.Name())
	if err == nil {
		err = unix.Renameat2(from, old, dir, name, unix.RENAME_NOREPLACE)
	}
	if errors.Is(err, unix.EEXIST) {
		return false, corruptAt(-1, "the index lists it twice")
	}
	if err != nil {
		return false, nil //nolint:nilerr // A copy shows whether it can be written at all.
	}
	fd, err := openAt(dir, name, openRead)
	if err != nil {
		return false, err
	}
	return true, k.make.complete(fd, dir, name, e)
}

// find opens the file that may be the one that is wanted. An empty one needs
// none: src is -1 then.
func (k *taker) find(e *Entry, st *unix.Stat_t) (src int, ok bool) {
	if e.Size == 0 {
		return -1, true
	}
	if k.from.root == nil {
		return -1, false
	}
	dir, name, err := k.from.of(e.Name())
	if err == nil {
		err = unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != e.Size {
		return -1, false
	}
	src, err = openQuietly(dir, name, openRead)
	return src, err == nil
}

// content gives a new file its content, and reports whether that is surely the
// one in the tarball: because nobody has changed the other file since it was
// backed up and while it was copied, or because the very bytes that were written
// have the recorded hash.
func (k *taker) content(dst, src int, e *Entry, before *unix.Stat_t) (same bool, err error) {
	if e.Size == 0 {
		return true, nil
	}
	unread := k.delta.sameChange(e, before)
	if k.clone(dst, src) {
		if unread {
			return unchangedSince(src, before), nil
		}
		return k.hasHash(dst, e), nil
	}
	if unread && !e.Sparse && copyWhole(dst, src, e.Size) {
		return unchangedSince(src, before), nil
	}
	return k.copyHashed(dst, src, e)
}

// clone lets a new file share the blocks of another, where file systems can.
func (k *taker) clone(dst, src int) bool {
	if k.noClone {
		return false
	}
	err := unix.IoctlFileClone(dst, src)
	k.noClone = errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOSYS)
	return err == nil
}

// unchangedSince reports whether an open file is still in the state of a stat.
func unchangedSince(fd int, before *unix.Stat_t) bool {
	var after unix.Stat_t
	return unix.Fstat(fd, &after) == nil && sameStat(before, &after)
}

// copyWhole copies a file inside the kernel. If it cannot, copyHashed finds out why.
func copyWhole(dst, src int, size int64) bool {
	for at := int64(0); at < size; {
		from, to := at, at
		n, err := unix.CopyFileRange(src, &from, dst, &to, int(min(size-at, 1<<30)), 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return false
		}
		at += int64(n)
	}
	return true
}

// hasHash reads a new file, which nobody else knows, and compares.
func (k *taker) hasHash(fd int, e *Entry) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Size != e.Size {
		return false
	}
	sum := sha256.New()
	for at := int64(0); at < e.Size; {
		n, err := readAt(fd, k.make.buffer, at)
		if err != nil || n == 0 {
			return false
		}
		sum.Write(k.make.buffer[:n])
		at += int64(n)
	}
	return e.Size == 0 || Hash(sum.Sum(nil)) == e.ContentHash
}

// copyHashed copies through memory. An error is one of writing; that a file
// cannot be read makes it one that is not the same.
func (k *taker) copyHashed(dst, src int, e *Entry) (same bool, err error) {
	if err := unix.Ftruncate(dst, 0); err != nil { // an attempt may have gone before
		return false, err
	}
	if e.Sparse {
		if err := unix.Ftruncate(dst, e.Size); err != nil {
			return false, err
		}
	}
	sum := sha256.New()
	for at := int64(0); at < e.Size; {
		piece := k.make.buffer[:min(e.Size-at, int64(len(k.make.buffer)))]
		n, err := readAt(src, piece, at)
		if err != nil || n < len(piece) {
			return false, nil //nolint:nilerr // it comes from the tarball then
		}
		sum.Write(piece)
		if err := writeAt(dst, piece, at, e.Sparse); err != nil {
			return false, err
		}
		if at += int64(n); k.ctx.Err() != nil {
			return false, context.Cause(k.ctx)
		}
	}
	return Hash(sum.Sum(nil)) == e.ContentHash, nil
}

// openNew makes a file.
func openNew(dir int, name string, mode uint32) (int, error) {
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	return unix.Openat(dir, name, flags, mode)
}

// parents keeps the directory of the last path open: the next is mostly in it too.
type parents struct {
	root *beneath
	dir  int
	path string // empty: none is open
}

func (p *parents) close() {
	if p.path != "" {
		_ = unix.Close(p.dir)
		p.path = ""
	}
}

// of returns the directory that holds a path of the site, and its name in it.
func (p *parents) of(path string) (dir int, name string, err error) {
	if path == "./" {
		return p.root.fd, ".", nil
	}
	parent := parentOf(path)
	if parent != p.path {
		p.close()
		if p.dir, err = p.root.open(parent, openDir); err != nil {
			return 0, "", err
		}
		p.path = parent
	}
	return p.dir, path[strings.LastIndexByte(path, '/')+1:], nil
}
