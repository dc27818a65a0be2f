package intake

import (
	"fmt"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// links are the hard links of a tarball, by name: what they name, and once resolved, the file behind them.
type links map[string]*link

// link is a name of a file that has several. The file's first name, in our order, carries its content.
type link struct {
	target string
	file   *record // that all names share
	first  string
}

// maxLinks bounds what hard links take of memory.
const maxLinks = 1 << 17

func (l links) note(r *record) error {
	if r.entry.Type != archive.TypeHardlink {
		return nil
	}
	if len(l) == maxLinks {
		return errs.New(errs.Precondition, "pack it anew with: tar --hard-dereference", "there are more than %d hard links in it", maxLinks)
	}
	l[r.entry.Path] = &link{target: r.entry.LinkTarget}
	return nil
}

// resolve follows every link to a file of the tarball.
func (l links) resolve(entries *sorter) error {
	if len(l) == 0 {
		return nil
	}
	groups := map[string][]string{}
	for name := range l {
		file, err := l.end(name)
		if err != nil {
			return err
		}
		groups[file] = append(groups[file], name)
	}
	for r, err := range entries.last(func(record) {}) {
		if err != nil {
			return err
		}
		names := groups[r.entry.Path]
		if names == nil {
			continue
		}
		if r.entry.Type != archive.TypeRegular && r.entry.Type != archive.TypeSymlink {
			return fmt.Errorf("the hard link %q names %q, which is a %s: %w", names[0], r.entry.Path, r.entry.Type, archive.ErrUnsafe)
		}
		l.bind(&r, names)
		delete(groups, r.entry.Path)
	}
	for file, names := range groups {
		return fmt.Errorf("the hard link %q names %q, which is not in the tarball: %w", names[0], file, archive.ErrUnsafe)
	}
	return nil
}

// end returns the name at the end of a chain of links.
func (l links) end(name string) (string, error) {
	at := name
	for range len(l) + 1 {
		next := l[at]
		if next == nil {
			return at, nil
		}
		at = next.target
	}
	return "", fmt.Errorf("the hard link %q leads back to itself: %w", name, archive.ErrUnsafe)
}

// bind notes the file that names share, itself among them.
func (l links) bind(file *record, names []string) {
	first := file.entry.Path
	for _, name := range names {
		if archive.ComparePaths(name, first) < 0 {
			first = name
		}
	}
	for _, name := range append(names, file.entry.Path) {
		l[name] = &link{file: file, first: first}
	}
}

// of returns what a record becomes: the file's first name is the file, and the others name that one. A symbolic link
// with several names becomes as many links.
func (l links) of(r record) record {
	shared := l[r.entry.Path]
	if shared == nil {
		return r
	}
	name := r.entry.Path
	out := *shared.file
	out.entry.Path = name
	if out.entry.Type == archive.TypeRegular && name != shared.first {
		out.entry.Type, out.entry.Size, out.entry.LinkTarget = archive.TypeHardlink, 0, shared.first
	}
	return out
}
