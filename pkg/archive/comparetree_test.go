package archive

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// differences lists in what a live tree differs: "+path", "*path" and "-path".
func (m *made) differences(t *testing.T, root *os.Root) []string {
	t.Helper()
	var got []string
	check(t, CompareTree(t.Context(), root, m.open(t).BaseFrames(0), []string{".staging-*/"}, func(d Difference) error {
		got = append(got, map[DifferenceKind]string{Added: "+", Changed: "*", Removed: "-"}[d.Kind]+strings.TrimPrefix(d.Entry.Name(), "./"))
		return nil
	}, func(w Warning) { got = append(got, "warning "+w.String()) }))
	return got
}

func TestCompareTree(t *testing.T) {
	s := richSite(t)
	m := s.make(makeOptions{codec: Zstd(), dump: smallDump()})
	if got := m.differences(t, s.root()); len(got) > 0 {
		t.Errorf("of a tree that is the same: %q", got)
	}
	check(t, os.Remove(s.path("owned")))
	check(t, os.RemoveAll(s.path("wp-includes-x")))
	check(t, os.Truncate(s.path("wp-includes/f003.php"), 3))
	check(t, os.Chmod(s.path("wp-includes/f004.php"), 0o600))
	check(t, os.Chtimes(s.path("wp-includes/f005.php"), time.Now(), time.Now()))
	check(t, os.Remove(s.path("wp-content/hard.php")))
	check(t, os.WriteFile(s.path("wp-content/hard.php"), []byte("<?php\n"), 0o644))
	check(t, os.Chmod(s.path("emptydir"), 0o700))
	check(t, os.Remove(s.path("badlink")))
	check(t, os.Symlink("elsewhere", s.path("badlink")))
	s.write("database.sql.gz", []byte("new"))
	s.write("cache/new", []byte("new"))
	s.write(".staging-x/new", []byte("not the site's"))
	want := []string{"*badlink", "-cache", "-cache/new", "-database.sql.gz", "*emptydir", "+owned", "*wp-content/hard.php",
		"+wp-includes-x", "+wp-includes-x/a", "*wp-includes/f003.php", "*wp-includes/f004.php", "*wp-includes/f005.php"}
	got := m.differences(t, s.root())
	slices.SortFunc(got, func(a, b string) int { return strings.Compare(a[1:], b[1:]) })
	slices.SortFunc(want, func(a, b string) int { return strings.Compare(a[1:], b[1:]) })
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if all := m.differences(t, nil); int64(len(all)) != m.tree.Entries || all[0] != "+" {
		t.Errorf("of no tree: %d of %d entries, %q first", len(all), m.tree.Entries, all[0])
	}
}
