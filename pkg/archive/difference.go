package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"io"
	"iter"
	"slices"
)

// EntryChange is a path in which two tarballs differ.
type EntryChange struct {
	// Before and After are nil where the path is not there.
	Before, After *Entry
	// What has changed, where both are there: "type", "content", "size", "mode", "owner", "time", "link", "xattrs".
	What []string
}

// DiffEntries yields the paths of the site in which two tarballs differ, in the order of the walk. It walks both
// indexes side by side and holds one entry of each. The time of a directory alone is no difference: it changes with
// what is in it. The dump is no path of the site.
func DiffEntries(ctx context.Context, before, after *Reader) iter.Seq2[EntryChange, error] {
	return func(yield func(EntryChange, error) bool) {
		a, b := pullEntries(before), pullEntries(after)
		defer a.stop()
		defer b.stop()
		a.advance()
		b.advance()
		for a.ok || b.ok {
			if err := cmp.Or(ctx.Err(), a.err, b.err); err != nil {
				yield(EntryChange{}, err)
				return
			}
			if c, differs := nextChange(a, b); differs && !yield(c, nil) {
				return
			}
		}
	}
}

// nextChange compares what comes next and goes on behind it.
func nextChange(a, b *entryCursor) (EntryChange, bool) {
	order := 0
	switch {
	case !a.ok:
		order = 1
	case !b.ok:
		order = -1
	default:
		order = ComparePaths(a.entry.Name(), b.entry.Name())
	}
	var c EntryChange
	if order <= 0 {
		e := a.entry
		c.Before = &e
		a.advance()
	}
	if order >= 0 {
		e := b.entry
		c.After = &e
		b.advance()
	}
	if order == 0 {
		c.What = changedIn(c.Before, c.After)
		return c, len(c.What) > 0
	}
	return c, true
}

// changedIn says in what two entries of one path differ.
func changedIn(a, b *Entry) []string {
	if a.Type != b.Type {
		return []string{"type"}
	}
	var what []string
	for _, d := range []struct {
		name    string
		differs bool
	}{
		{"content", a.ContentHash != b.ContentHash},
		{"size", a.Type == TypeRegular && a.Size != b.Size},
		{"mode", a.Mode != b.Mode},
		{"owner", a.UID != b.UID || a.GID != b.GID || a.Uname != b.Uname || a.Gname != b.Gname},
		{"time", a.Type != TypeDirectory && !a.ModTime.Equal(b.ModTime)},
		{"link", a.LinkTarget != b.LinkTarget},
		{"xattrs", !slices.Equal(a.Xattrs, b.Xattrs)},
	} {
		if d.differs {
			what = append(what, d.name)
		}
	}
	return what
}

// entryCursor is a place in the list of a tarball's entries.
type entryCursor struct {
	next  func() (Entry, error, bool)
	stop  func()
	dump  bool // the tarball holds a dump
	entry Entry
	err   error
	ok    bool // there is an entry, or an error
}

func pullEntries(r *Reader) *entryCursor {
	c := &entryCursor{dump: r.manifest.GetDump() != nil}
	c.next, c.stop = iter.Pull2(r.Entries())
	return c
}

// advance goes to the next entry of the site.
func (c *entryCursor) advance() {
	for {
		c.entry, c.err, c.ok = c.next()
		if !c.ok || c.err != nil || !c.dump || c.entry.Path != DumpPath {
			return
		}
	}
}

// TableChange is a table in which two dumps differ.
type TableChange struct {
	// Before and After are nil where the table is not there.
	Before, After *Table
	// What has changed, where both are there: "structure", "rows", "triggers", or "definition" of all but tables.
	What []string
}

// DiffTables returns what differs of what two dumps make, by kind and name. Sections are compared by the hashes of the
// frames they lie in; only where these differ and nothing simpler does is their SQL read.
func DiffTables(ctx context.Context, before, after *Reader) ([]TableChange, error) {
	a, err := before.Tables(ctx)
	if err != nil {
		return nil, err
	}
	b, err := after.Tables(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(a, compareTables)
	slices.SortFunc(b, compareTables)
	var out []TableChange
	for len(a) > 0 || len(b) > 0 {
		var c TableChange
		c, a, b = pairTables(a, b)
		if c.Before != nil && c.After != nil {
			if c.What, err = tableChanges(ctx, before, after, c); err != nil {
				return nil, err
			}
			if len(c.What) == 0 {
				continue
			}
		}
		out = append(out, c)
	}
	return out, nil
}

func compareTables(a, b Table) int {
	return cmp.Or(cmp.Compare(kindOrder(a.Kind), kindOrder(b.Kind)), cmp.Compare(a.Name, b.Name))
}

func kindOrder(k SectionKind) int {
	return slices.Index([]SectionKind{SectionTable, SectionView, SectionSequence, SectionRoutine, SectionEvent}, k)
}

// pairTables takes the first table of two ordered lists, or of both.
func pairTables(a, b []Table) (c TableChange, restA, restB []Table) {
	order := 0
	switch {
	case len(a) == 0:
		order = 1
	case len(b) == 0:
		order = -1
	default:
		order = compareTables(a[0], b[0])
	}
	if order <= 0 {
		c.Before, a = &a[0], a[1:]
	}
	if order >= 0 {
		c.After, b = &b[0], b[1:]
	}
	return c, a, b
}

// sectionWord says of a section how its change is called.
func sectionWord(kind SectionKind) string {
	switch kind {
	case SectionTable:
		return "structure"
	case SectionData:
		return "rows"
	case SectionTrigger:
		return "triggers"
	}
	return "definition"
}

func tableChanges(ctx context.Context, before, after *Reader, c TableChange) ([]string, error) {
	var what []string
	for _, kind := range []SectionKind{SectionTable, SectionData, SectionTrigger, SectionView, SectionSequence, SectionRoutine, SectionEvent} {
		same, err := sameSections(ctx, before, after, sectionsOf(c.Before, kind), sectionsOf(c.After, kind))
		if err != nil {
			return nil, err
		}
		if !same {
			what = append(what, sectionWord(kind))
		}
	}
	return what, nil
}

func sectionsOf(t *Table, kind SectionKind) []Section {
	var out []Section
	for _, s := range t.Sections {
		if s.Kind == kind {
			out = append(out, s)
		}
	}
	return out
}

func sameSections(ctx context.Context, before, after *Reader, a, b []Section) (bool, error) {
	if len(a) != len(b) {
		return false, nil
	}
	for i := range a {
		if same, err := sameSection(ctx, before, after, a[i], b[i]); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func sameSection(ctx context.Context, before, after *Reader, a, b Section) (bool, error) {
	if a.Length != b.Length || a.Rows != b.Rows {
		return false, nil
	}
	if same, err := sameFrames(before, after, a, b); err != nil || same {
		return same, err
	}
	hashA, err := before.hashSection(ctx, a)
	if err != nil {
		return false, err
	}
	hashB, err := after.hashSection(ctx, b)
	return hashA == hashB, err
}

// sameFrames reports whether two sections lie at the same place in frames with the same plain bytes. If not, they may
// still be the same.
func sameFrames(before, after *Reader, a, b Section) (bool, error) {
	if a.FrameOffset != b.FrameOffset {
		return false, nil
	}
	nextA, stopA := iter.Pull2(before.infos(a.Frame, uint64(before.counts.Frames)))
	defer stopA()
	nextB, stopB := iter.Pull2(after.infos(b.Frame, uint64(after.counts.Frames)))
	defer stopB()
	for left := a.FrameOffset + a.Length; left > 0; {
		fa, err, okA := nextA()
		if err != nil {
			return false, err
		}
		fb, err, okB := nextB()
		if err != nil || !okA || !okB || fa.PlainHash != fb.PlainHash || fa.PlainLength == 0 {
			return false, err
		}
		left -= fa.PlainLength
	}
	return true, nil
}

func (r *Reader) hashSection(ctx context.Context, s Section) (Hash, error) {
	content, err := r.OpenSection(ctx, s)
	if err != nil {
		return Hash{}, err
	}
	defer content.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return Hash{}, err
	}
	return Hash(sum.Sum(nil)), nil
}

// pullDump gives the frames of the dump one by one; stop ends it.
func pullDump(r *Reader) (next func() (FrameInfo, error, bool), stop func()) {
	return iter.Pull2(func(yield func(FrameInfo, error) bool) {
		for f, err := range r.Frames() {
			if err == nil && f.Kind != KindDump {
				continue
			}
			if !yield(f, err) {
				return
			}
		}
	})
}
