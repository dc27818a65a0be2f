package bed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Print is a fingerprint: lines of text that name a thing and what it is like.
// Two prints are equal when the things are; [Print.Diff] says where not.
type Print []string

// Hash is a short hash over all lines.
func (p Print) Hash() string {
	h := sha256.New()
	for _, line := range p {
		_, _ = io.WriteString(h, line+"\n")
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Diff says what differs: "-" lines are in p alone, "+" lines in other alone,
// at most 40 of them. It is empty when both are equal.
func (p Print) Diff(other Print) string {
	var out strings.Builder
	lines := 0
	add := func(sign string, from, without Print) {
		have := make(map[string]int, len(without))
		for _, l := range without {
			have[l]++
		}
		for _, l := range from {
			if have[l]--; have[l] < 0 {
				if lines++; lines <= 40 {
					fmt.Fprintf(&out, "%s %s\n", sign, l)
				}
			}
		}
	}
	add("-", p, other)
	add("+", other, p)
	if lines > 40 {
		fmt.Fprintf(&out, "and %d more lines\n", lines-40)
	}
	if lines == 0 && !slices.Equal(p, other) {
		return "the same lines in another order\n"
	}
	return out.String()
}

// TreeOption changes what [Tree] looks at.
type TreeOption func(*TreeWalk)

// Normalise has a file's content go through a function before it is hashed,
// and leaves out its size and time. The path is relative to the root.
func Normalise(path string, f func([]byte) []byte) TreeOption {
	return func(w *TreeWalk) { w.normalise[path] = f }
}

// TreeWalk is a fingerprint in the making; options change it.
type TreeWalk struct {
	root      string
	normalise map[string]func([]byte) []byte
	links     map[[2]uint64]string // first path of each inode with several names
	print     Print
}

// Tree takes the fingerprint of a directory and all below it, in lexical
// order: paths, types, modes with set-id and sticky bits, owners, times in
// nanoseconds, sizes, hashes of contents, targets of symbolic links, which
// names are one file, device numbers, and extended attributes.
func Tree(root string, options ...TreeOption) (Print, error) {
	w := &TreeWalk{root: root, normalise: map[string]func([]byte) []byte{}, links: map[[2]uint64]string{}}
	for _, o := range options {
		o(w)
	}
	if err := filepath.WalkDir(root, w.visit); err != nil {
		return nil, fmt.Errorf("fingerprint of %s: %w", root, err)
	}
	return w.print, nil
}

func (w *TreeWalk) visit(path string, _ fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(w.root, path)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	line := fmt.Sprintf("%q %06o %d:%d", rel, st.Mode, st.Uid, st.Gid)
	f := w.normalise[rel]
	if f == nil {
		line += fmt.Sprintf(" %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
	}
	detail, err := w.detail(path, rel, &st, f)
	if err != nil {
		return err
	}
	attributes, err := xattrs(path)
	if err != nil {
		return err
	}
	w.print = append(w.print, line+detail+attributes)
	return nil
}

// detail is what only files of one type have.
func (w *TreeWalk) detail(path, rel string, st *unix.Stat_t, f func([]byte) []byte) (string, error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		return fmt.Sprintf(" -> %q", target), err
	case unix.S_IFCHR, unix.S_IFBLK:
		return fmt.Sprintf(" device %d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), nil
	case unix.S_IFREG:
		same := w.sameFile(rel, st)
		if f != nil {
			text, err := os.ReadFile(path)
			sum := sha256.Sum256(f(text))
			return fmt.Sprintf(" normalised %x%s", sum[:12], same), err
		}
		sum, err := hashFile(path)
		return fmt.Sprintf(" %d %s%s", st.Size, sum, same), err
	}
	return "", nil
}

// sameFile names the first path of a file that has several.
func (w *TreeWalk) sameFile(rel string, st *unix.Stat_t) string {
	if st.Nlink < 2 {
		return ""
	}
	key := [2]uint64{st.Dev, st.Ino}
	if w.links[key] == "" {
		w.links[key] = rel
	}
	return fmt.Sprintf(" is %q", w.links[key])
}

// xattrs are the extended attributes of a path, POSIX ACLs among them, by name.
func xattrs(path string) (string, error) {
	names := make([]byte, 64<<10) // the kernel's own limit (XATTR_LIST_MAX)
	n, err := unix.Llistxattr(path, names)
	if errors.Is(err, unix.ENOTSUP) {
		return "", nil
	}
	if err != nil {
		return "", &os.PathError{Op: "llistxattr", Path: path, Err: err}
	}
	var all []string
	for name := range bytes.SplitSeq(bytes.TrimRight(names[:n], "\x00"), []byte{0}) {
		if len(name) == 0 {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Lgetxattr(path, string(name), value)
		if err != nil {
			return "", &os.PathError{Op: "lgetxattr", Path: path, Err: err}
		}
		all = append(all, fmt.Sprintf(" %s=%x", name, value[:n]))
	}
	slices.Sort(all)
	return strings.Join(all, ""), nil
}
