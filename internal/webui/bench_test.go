package webui_test

import (
	"path/filepath"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

func fill(t testing.TB, dir string) {
	t.Helper()
	must(t, bed.FillCatalogue(t.Context(), filepath.Join(dir, "catalogue.db")))
}

// BenchmarkOverview is the whole way of a page, TLS included, for 5,000 sites with 100,000 backups:
// go test -run NONE -bench Overview ./internal/webui.
func BenchmarkOverview(b *testing.B) {
	r := newRig(b, fill)
	user := r.signedIn(b, "viewer")
	for name, path := range map[string]string{"first": "/", "middle": "/?page=50", "trouble": "/?show=any", "search": "/?q=site0421"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got := user.get(b, path); got.status != 200 {
					b.Fatal(got.status)
				}
			}
		})
	}
}
