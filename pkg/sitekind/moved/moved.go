// Package moved finds the addresses of a site that got another name or another
// directory, in the values that PHP programs keep: in plain text, in what
// serialize() writes, in JSON, in percent-encoded URLs.
//
// A name counts where it is the host of an address, behind "//", and where it
// is all of a value; and only a whole one does: old.example is neither in
// sub.old.example nor in old.example.org. It stays where it is a word in a text,
// or behind the @ of a mail address. A directory counts with what lies below
// it; /srv/old is neither in /srv/older nor in /backup/srv/old.
//
// What was replaced is not looked at again, but a second run over the same
// values may find an old directory in a new one that lies below it: whoever
// calls has to see that each value is rewritten once.
package moved

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind/phpserial"
)

// Pair is what was, and what is in its place.
type Pair struct{ Old, New string }

// Move says what a site was called and where it lay, and what is in its place.
// Names are host names, without a port; paths are clean and absolute.
type Move struct {
	Names, Paths []Pair
	// Relative are directories as addresses and settings have them below the
	// docroot, such as sites/old.example: a path that begins so, or holds it.
	Relative []Pair
	// Again says that values may have been rewritten before: a directory that
	// reads as the new one is left, also where the old one lies above it.
	Again bool
}

// IsZero reports whether nothing has moved.
func (m Move) IsZero() bool {
	c := m.clean()
	return len(c.Names)+len(c.Paths)+len(c.Relative) == 0
}

// clean leaves out pairs that change nothing, and puts the longest paths first:
// of two directories of which one holds the other, the inner one counts.
func (m Move) clean() Move {
	same := func(p Pair) bool { return p.Old == "" || p.New == "" || p.Old == p.New }
	kept := func(list []Pair) []Pair { return slices.DeleteFunc(slices.Clone(list), same) }
	out := Move{Names: kept(m.Names), Paths: kept(m.Paths), Relative: kept(m.Relative), Again: m.Again}
	slices.SortStableFunc(out.Paths, func(a, b Pair) int { return cmp.Compare(len(b.Old), len(a.Old)) })
	return out
}

// Rewriter returns what rewrites values; see phpserial.Rewriter.
func (m Move) Rewriter() *phpserial.Rewriter {
	f := newFinder(m.clean())
	return phpserial.NewFunc(f.touches, f.replace, f.sameLength())
}

// Needles are texts of which every value holds at least one that the Rewriter
// may change, whatever the case of letters.
func (m Move) Needles() []string {
	var out []string
	c := m.clean()
	for _, p := range c.Names {
		out = append(out, p.Old)
	}
	for _, p := range append(c.Paths, c.Relative...) { // JSON may escape slashes, so that only what is between them is the same everywhere
		out = append(out, p.Old[strings.LastIndexByte(p.Old, '/')+1:])
	}
	slices.Sort(out)
	return slices.Compact(out)
}
