package archive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// walked returns what a walk within limits visits, and its warnings.
func (s *site) walked(limits walkLimits) (nodes []*node, warnings []Warning) {
	s.t.Helper()
	root := must[*beneath](s.t)(openBeneath(s.root()))
	defer root.close()
	w := &walker{
		ctx: context.Background(), root: root, opts: &SourceOptions{}, owners: newOwnerNames(), links: map[inode]*firstName{},
		visit:  func(n *node) error { nodes = append(nodes, n); return nil },
		warn:   func(w Warning) error { warnings = append(warnings, w); return nil },
		limits: limits,
	}
	check(s.t, w.walk())
	return nodes, warnings
}

// TestLargeDirectories visits directories that do not fit into one run of names,
// and some that just do, in the same order as ever.
func TestLargeDirectories(t *testing.T) {
	s := newSite(t)
	r := rand.New(rand.NewPCG(1, 2))
	for dir, entries := range map[string]int{"none": 0, "one": 1, "run": 64, "run+1": 65, "two": 128, "two+1": 129, "many": 1500} {
		s.mkdir(dir)
		for i := range entries {
			name := fmt.Sprintf("%s/%x%d", dir, r.Uint32N(1<<12), i)
			if i%50 == 7 {
				s.mkdir(name)
				name += "/below"
			}
			check(t, os.WriteFile(s.path(name), nil, 0o600))
		}
	}
	all, _ := s.walked(usualLimits())
	runs, warnings := s.walked(walkLimits{names: 64, links: 1})
	names := func(nodes []*node) (out []string) {
		for _, n := range nodes {
			out = append(out, n.name())
		}
		return out
	}
	if !slices.Equal(names(all), names(runs)) || len(warnings) > 0 {
		t.Errorf("%d entries instead of %d, warnings: %v", len(runs), len(all), warnings)
	}
	if !slices.IsSortedFunc(runs, func(a, b *node) int { return ComparePaths(a.name(), b.name()) }) {
		t.Error("entries are out of order")
	}
	const below = 2 + 2 + 3 + 3 + 30 // files in directories of their own
	if len(all) != 1+7+1+64+65+128+129+1500+below {
		t.Errorf("%d entries", len(all))
	}
}

// TestTooManyHardlinks stores files once for each name when too many wait for
// their other names, and says so once.
func TestTooManyHardlinks(t *testing.T) {
	s := newSite(t)
	for i := range 10 {
		name := fmt.Sprintf("a%d", i)
		s.write(name, []byte(name))
		check(t, os.Link(s.path(name), s.path("z"+name)))
	}
	nodes, warnings := s.walked(walkLimits{names: 1 << 10, links: 4})
	links := 0
	for _, n := range nodes {
		if n.entry.Type == TypeHardlink {
			links++
		}
	}
	// Files 0 to 3 wait, and then 4 to 9 come twice as files; the last of them find
	// room again, when the first have got their second names.
	if links < 4 || len(nodes) != 21 {
		t.Errorf("%d entries with %d links", len(nodes), links)
	}
	if len(warnings) != 1 || warnings[0].Kind != WarnLimit {
		t.Errorf("warnings: %v", warnings)
	}
}
