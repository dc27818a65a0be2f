package backup_test

import (
	"slices"
	"testing"

	"github.com/sitekeep/sitekeep/internal/backup"
)

// TestBlankedCredentials are asked for, recorded, and end with the next backup after that was switched off, which does not
// trust sizes and times.
func TestBlankedCredentials(t *testing.T) {
	r := newRig(t)
	blank := func(q *backup.Request) { q.Site.BlankCredentials = true }
	plain := func(q *backup.Request) { q.Site.BlankCredentials = false }
	want := []string{"settings.php", "sites/local.php"}
	for i, c := range []struct {
		change  func(*backup.Request)
		blanked []string
		readAll bool
	}{{plain, nil, false}, {blank, want, false}, {blank, want, false}, {plain, nil, true}, {plain, nil, false}} {
		b := r.made(c.change)
		asked := r.agents.Asked()[i]
		if asked.BlankCredentials != (c.blanked != nil) || asked.ReadAll != c.readAll {
			t.Errorf("backup %d: asked %+v", i, asked)
		}
		if got := r.open(b.ID).Facts().Blanked; !slices.Equal(got, c.blanked) {
			t.Errorf("backup %d: blanked %q, want %q", i, got, c.blanked)
		}
	}
}
