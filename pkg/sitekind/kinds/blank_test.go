package kinds

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// TestBlank takes the password out of what is in a kind's settings files, and nothing else, and writes nothing.
func TestBlank(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		before, text := f.tree(t), f.read(t)
		files, err := sitekind.Blank(ctx(t), f.kind, f.place)
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		if f.read(t) != text {
			t.Error("the live settings have changed")
		}
		for name, content := range f.tree(t) {
			if before[name] != content {
				t.Errorf("%s has changed", name)
			}
		}
		want, err := f.kind.ReadSettings(ctx(t), f.place)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range files {
			if strings.Contains(string(b.Content), original().Password.Reveal()) {
				t.Errorf("%s has the password:\n%s", b.Name, b.Content)
			}
			if err := os.WriteFile(f.dir+"/"+b.Name, b.Content, 0o640); err != nil {
				t.Fatal(err)
			}
		}
		got, err := f.kind.ReadSettings(ctx(t), f.place)
		want.Password = sitekind.Secret{}
		if err != nil || got != want {
			t.Errorf("blanked settings read as %+v, %v; want %+v", got, err, want)
		}
		if files, err := sitekind.Blank(ctx(t), f.kind, f.place); err != nil || len(files) != 0 {
			t.Errorf("blanked once more: %d files, %v", len(files), err)
		}
		if err := f.kind.WriteSettings(ctx(t), f.place, original()); err != nil {
			t.Fatal(err)
		}
		if got, err := f.kind.ReadSettings(ctx(t), f.place); err != nil || !got.Password.Equal(original().Password) {
			t.Errorf("a new password cannot be written into a blanked file: %v", err)
		}
	})
}

// TestBlankRefusesASecondCopy, in whatever form it stands there.
func TestBlankRefusesASecondCopy(t *testing.T) {
	for _, r := range rows() {
		if r.kind.Name() != "wordpress" {
			continue
		}
		for what, c := range map[string]struct{ password, copy string }{
			"a comment":  {"OldSecret1", "# it was OldSecret1 once"},
			"an address": {"Old Secret@1", "# mysql://u:Old%20Secret%401@db/x"},
			"quoted":     {"Old'Secret1", `# 'Old\'Secret1'`},
			"query":      {"Old Secret&1", "# ?p=Old+Secret%261"},
		} {
			t.Run(r.name+" "+what, func(t *testing.T) {
				f := r.lay(t)
				s := original()
				s.Password = sitekind.NewSecret(c.password)
				if err := f.kind.WriteSettings(ctx(t), f.place, s); err != nil {
					t.Fatal(err)
				}
				f.write(t, f.settings, f.read(t)+"\n"+c.copy+"\n")
				files, err := sitekind.Blank(ctx(t), f.kind, f.place)
				if problemOf(err) != sitekind.Unwritable || len(files) > 0 || strings.Contains(err.Error(), c.password) {
					t.Errorf("%d files, %v", len(files), err)
				}
			})
		}
		f := r.lay(t)
		f.write(t, f.settings, r.broken)
		if _, err := sitekind.Blank(ctx(t), f.kind, f.place); err == nil || errors.Is(err, sitekind.ErrNoSettings) {
			t.Errorf("broken settings: %v", err)
		}
	}
}
