package agent

import (
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sitekeep/sitekeep/pkg/sitekind/kinds"
)

// A prefix is a name, whatever characters of patterns it has.
func TestRebuiltTables(t *testing.T) {
	for _, c := range []struct {
		kind, prefix string
		want         []string
	}{
		{"drupal", "", []string{"cache", "cache_*"}},
		{"drupal", "d_", []string{"d_cache", "d_cache_*"}},
		{"wordpress", "wp_", nil},
		{"dotenv", "", nil},
		{"generic", "", nil},
	} {
		kind, err := kinds.ByName(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, rebuiltTables(kind, c.prefix)); diff != "" {
			t.Errorf("%s with %q: %s", c.kind, c.prefix, diff)
		}
	}
	kind, err := kinds.ByName("drupal")
	if err != nil {
		t.Fatal(err)
	}
	prefix := `a*[b?\`
	for _, name := range []string{"cache", "cache_x"} {
		found := false
		for _, p := range rebuiltTables(kind, prefix) {
			if ok, err := path.Match(p, "axx"+name); ok || err != nil {
				t.Errorf("%q matches another's table: %v", p, err)
			}
			ok, err := path.Match(p, prefix+name)
			found = found || ok && err == nil
		}
		if !found {
			t.Errorf("nothing matches %s", prefix+name)
		}
	}
}
