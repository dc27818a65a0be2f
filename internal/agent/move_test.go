package agent_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

func someMove() *agentv1.Move {
	return &agentv1.Move{
		Names: []*agentv1.Replacement{{Old: "old.example", New: "new.old.example"}},
		Paths: []*agentv1.Replacement{{Old: "/srv/old", New: "/srv/old/new"}},
	}
}

// TestRewriteSettingsOfAStagedTree: a second call, as after a connection that broke, changes no more.
func TestRewriteSettingsOfAStagedTree(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	live := wpConfig + "define('WP_HOME', 'http://old.example');\ndefine('WP_CONTENT_DIR', '/srv/old/c');\n"
	if err := os.WriteFile(r.www+"/x/wp-config.php", []byte(live), 0o640); err != nil {
		t.Fatal(err)
	}
	rewrite := func(m *agentv1.Move) ([]string, error) {
		reply, err := r.settings.RewriteSettings(r.ctx(), &agentv1.RewriteSettingsRequest{Site: site, Task: task, Move: m})
		return reply.GetChanged(), err
	}
	if _, err := rewrite(someMove()); !errs.Is(err, errs.NotFound) {
		t.Errorf("there is no staged tree: error = %v", err)
	}
	r.stage(site)
	for _, want := range [][]string{{"WP_CONTENT_DIR", "WP_HOME"}, nil} {
		if got, err := rewrite(someMove()); err != nil || !slices.Equal(got, want) {
			t.Errorf("changed %q, %v; want %q", got, err, want)
		}
	}
	staged, err := os.ReadFile(r.www + "/.sitekeep-T1/x/wp-config.php")
	want := strings.NewReplacer("old.example", "new.old.example", "/srv/old", "/srv/old/new").Replace(live)
	if err != nil || string(staged) != want {
		t.Errorf("staged settings (%v):\n%s", err, staged)
	}
	if now, err := os.ReadFile(r.www + "/x/wp-config.php"); err != nil || string(now) != live {
		t.Errorf("the live settings were changed: %v", err)
	}
}

// TestMovesThatAreNone: only names and directories are replaced, never any text.
func TestMovesThatAreNone(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	r.stage(site)
	list := func(old, new string) []*agentv1.Replacement { return []*agentv1.Replacement{{Old: old, New: new}} }
	for what, m := range map[string]*agentv1.Move{
		"nothing": nil, "the same": {Names: list("a.example", "a.example")}, "a text": {Names: list("a text", "b.example")},
		"to code": {Names: list("a.example", "b.example');system('x")}, "no directory": {Paths: list("a", "/b")}, "the root": {Paths: list("/", "/b")},
		"up": {Relative: list("sites/a", "../b")}, "absolute": {Relative: list("sites/a", "/b")},
	} {
		if _, err := r.settings.RewriteSettings(r.ctx(), &agentv1.RewriteSettingsRequest{Site: site, Task: task, Move: m}); !errs.Is(err, errs.Usage) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
