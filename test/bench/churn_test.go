package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestChurnChangesOneInAHundred(t *testing.T) {
	for _, how := range []spread{scattered, together} {
		w := &world{site: t.TempDir(), rand: rand.New(rand.NewPCG(1, 2))}
		content := func() map[string]string {
			all := map[string]string{}
			files, err := filepath.Glob(filepath.Join(w.site, "*", "*"))
			page, errPage := filepath.Glob(filepath.Join(w.site, "*.php"))
			if err != nil || errPage != nil {
				t.Fatal(err, errPage)
			}
			for _, path := range append(files, page...) {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				all[path] = string(text)
			}
			return all
		}
		for i := range 600 {
			dir := filepath.Join(w.site, []string{"plugins", "uploads"}[i%2])
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d", i)), fmt.Appendf(nil, "%080d", i), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(w.site, "index.php"), []byte("page"), 0o644); err != nil {
			t.Fatal(err)
		}
		before := content()
		if err := w.churnFiles(how); err != nil {
			t.Fatal(err)
		}
		var changed []string
		for path, text := range content() {
			if text != before[path] {
				changed = append(changed, path)
			}
			if len(text) != len(before[path]) {
				t.Errorf("%s has another size", path)
			}
		}
		slices.Sort(changed)
		if want := map[spread]int{scattered: 6, together: 3}[how]; len(changed) != want {
			t.Errorf("spread %d: %d files changed, want %d", how, len(changed), want)
		}
		if how == together && (filepath.Base(filepath.Dir(changed[0])) != "plugins" || before[changed[2]][77:] != fmt.Sprintf("%03d", atoi(t, before[changed[0]])+4)) {
			t.Errorf("not next to each other: %v", changed)
		}
	}
}

func atoi(t *testing.T, text string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(text, "%d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}
