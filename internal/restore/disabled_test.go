package restore

import (
	"fmt"
	"testing"

	"github.com/sitekeep/sitekeep/internal/model"
)

// disabled is a game with a disabled site. Its web servers may have forgotten that.
func (r *rig) disabled(q quirks, known bool) *game {
	g := r.newGame(q)
	_, err := g.book.UpdateSite(g.Context(), siteName, func(s *model.Site) error { s.Disabled = true; return nil })
	g.must(err)
	for _, server := range []string{"web1", "web2"} {
		if known {
			g.webs[server].flags[siteName][model.HolderDisabled] = "held"
		}
	}
	return g
}

// holders says who keeps visitors out, by web server.
func (g *game) holders() (out string) {
	for _, name := range []string{"web1", "web2", "web3", "web4"} {
		if s := g.webs[name]; s != nil {
			for owner := range s.flags[siteName] {
				if owner != model.HolderDisabled {
					owner = "task"
				}
				out += fmt.Sprintf("%s: %s; ", name, owner)
			}
		}
	}
	return out
}

// TestADisabledSiteStaysClosed whatever is restored, and wherever it moves.
func TestADisabledSiteStaysClosed(t *testing.T) {
	const here, there = "web1: disabled; web2: disabled; ", "web3: disabled; web4: disabled; "
	r := newRig(t)
	wants := func(g *game, when, want string) {
		t.Helper()
		if got := g.holders(); got != want {
			t.Errorf("%s: kept out by %q, want %q", when, got, want)
		}
	}
	for _, known := range []bool{true, false} {
		g := r.disabled(quirks{}, known)
		g.restored(grace)
		wants(g, "restored", here)
		if _, err := g.undo(g.second(), g.first()); err != nil {
			t.Fatal(err)
		}
		wants(g, "undone", here)
	}

	g := r.disabled(quirks{migrate: true}, true)
	g.restored(0)
	wants(g, "migrated for good", there)

	g = r.disabled(quirks{migrate: true}, true)
	g.restored(grace)
	if _, err := g.undo(g.second(), g.first()); err != nil {
		t.Fatal(err)
	}
	wants(g, "migrated back", here)

	g = r.disabled(quirks{migrate: true}, true)
	g.leaky = "web2"
	if _, err := g.restore(g.first(), grace); err == nil {
		t.Error("a place that cannot be closed was left")
	}
	wants(g, "not migrated", here)
}

// TestASiteThatWasDisabledAfterItMoved goes back closed, though its old place never heard of it.
func TestASiteThatWasDisabledAfterItMoved(t *testing.T) {
	r := newRig(t)
	g := r.newGame(quirks{migrate: true})
	g.restored(grace)
	_, err := g.book.UpdateSite(g.Context(), siteName, func(s *model.Site) error { s.Disabled = true; return nil })
	g.must(err)
	if _, err := g.undo(g.second(), g.first()); err != nil {
		t.Fatal(err)
	}
	if got := g.holders(); got != "web1: disabled; web2: disabled; " {
		t.Errorf("kept out by %q", got)
	}
}
