package kinds

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// TestRelocation moves a site, as a restore stages it under another name and a
// migration brings it to another server: nothing may depend on where it lies.
func TestRelocation(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		moved := filepath.Join(t.TempDir(), ".sitekeep-T1", "x")
		if err := os.MkdirAll(filepath.Dir(moved), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(f.dir, moved); err != nil {
			t.Fatal(err)
		}
		f.dir = moved
		root, err := os.OpenRoot(moved)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		f.place = sitekind.Place{Root: root, Site: f.site, Docroot: f.docroot}
		want := original()
		want.Name, want.Host, want.Port = "moved", "db2", 3308
		if err := f.kind.WriteSettings(ctx(t), f.place, want); err != nil {
			t.Fatal(err)
		}
		if got, err := f.kind.ReadSettings(ctx(t), f.place); err != nil || got != want || f.read(t) != f.with(want) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
