package store

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
)

const (
	tarball = "a.example/" + id + ".tar.zst"
	side    = "a.example/" + id + ".manifest.json"
	spool   = "a.example/" + id + ".dump.spool"
	half    = side + ".partial"
	other   = "b.example-20261123.001336"
)

// TestSweepDecides states what becomes of every set of files that a crash, or
// something worse, can leave of one backup.
func TestSweepDecides(t *testing.T) {
	complete := []string{side, tarball}
	for name, c := range map[string]struct {
		files  []string
		listed bool
		left   []string
	}{
		"in the making":                   {files: []string{tarball + ".partial", spool, half}, left: nil},
		"sidecar in place":                {files: []string{tarball + ".partial", side, half}, left: nil},
		"in place, never listed":          {files: []string{tarball, tarball + ".partial", side, spool}, left: nil},
		"in place, listed":                {files: []string{tarball, tarball + ".partial", side, spool}, listed: true, left: complete},
		"listed":                          {files: complete, listed: true, left: complete},
		"acknowledged, and not listed":    {files: complete, left: complete},
		"acknowledged, with scratch":      {files: []string{tarball, side, spool, half}, left: complete},
		"removal asked for, listed":       {files: []string{tarball, tarball + ".deleted", side}, listed: true, left: complete},
		"removal asked for, forgotten":    {files: []string{tarball, tarball + ".deleted", side}, left: nil},
		"tarball removed, forgotten":      {files: []string{tarball + ".deleted", side}, left: nil},
		"sidecar removed, forgotten":      {files: []string{tarball + ".deleted"}, left: nil},
		"tarball removed, yet listed":     {files: []string{tarball + ".deleted", side}, listed: true, left: complete},
		"only its mark, yet listed":       {files: []string{tarball + ".partial", side}, listed: true, left: complete},
		"both marks and listed":           {files: []string{tarball, tarball + ".partial", tarball + ".deleted", side}, listed: true, left: complete},
		"a sidecar alone":                 {files: []string{side}, left: []string{side}},
		"a sidecar alone, listed":         {files: []string{side}, listed: true, left: []string{side}},
		"scratch alone":                   {files: []string{spool, half}, left: nil},
		"files of others":                 {files: []string{"a.example/notes.txt", "a.example/x.tar.zst", "README"}, left: []string{"README", "a.example/notes.txt", "a.example/x.tar.zst"}},
		"a tarball that was put there":    {files: []string{tarball}, left: []string{tarball}},
		"a partial in a directory's name": {files: []string{"not a site/" + id + ".tar.zst.partial"}, left: []string{"not a site/" + id + ".tar.zst.partial"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLocal(t)
			put(t, l, other, TarZst) // so that the catalogue is not lost
			for _, f := range c.files {
				path := filepath.Join(l.dir, f)
				fatal(t, os.MkdirAll(filepath.Dir(path), 0o700))
				fatal(t, os.WriteFile(path, nil, 0o600))
			}
			known := listed(other)
			if c.listed {
				known = listed(other, id)
			}
			for range 2 { // a second sweep changes nothing
				_, err := l.Sweep(t.Context(), known)
				fatal(t, err)
				want := append(slices.Clone(c.left), "b.example/"+other+".manifest.json", "b.example/"+other+".tar.zst")
				slices.Sort(want)
				if got := tree(t, l); !slices.Equal(got, want) {
					t.Fatalf("left %v\nwant %v", got, want)
				}
			}
		})
	}
}

func TestSweepReportsWhatIsMissing(t *testing.T) {
	l := openLocal(t)
	put(t, l, id, TarZst)
	fatal(t, os.Remove(filepath.Join(l.dir, tarball)))
	report, err := l.Sweep(t.Context(), listed(id))
	fatal(t, err)
	if !slices.Equal(report.Missing, []string{id}) {
		t.Fatalf("%+v", report)
	}
}

// TestALostCatalogueCostsNothing: with no backup listed, not even what a crash
// left is removed.
func TestALostCatalogueCostsNothing(t *testing.T) {
	l := openLocal(t)
	put(t, l, id, TarZst)
	put(t, l, other, TarZst)
	fatal(t, os.Link(filepath.Join(l.dir, tarball), filepath.Join(l.dir, tarball+".partial")))
	before := tree(t, l)
	_, err := l.Sweep(t.Context(), listed())
	if !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
		t.Fatal(err)
	}
	if after := tree(t, l); !slices.Equal(before, after) {
		t.Fatalf("left %v", after)
	}
}
