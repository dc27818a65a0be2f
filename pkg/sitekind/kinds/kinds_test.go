package kinds

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

func TestDetect(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		d, err := f.kind.Detect(ctx(t), f.place)
		if err != nil || !d.Found || d.SettingsFile != f.settings {
			t.Errorf("got %+v, %v; want settings file %s", d, err, f.settings)
		}
		if d.Version != f.version {
			t.Errorf("version is %q, want %q", d.Version, f.version)
		}
		for _, k := range All() { // The list is ordered: the first that finds the site is its kind.
			if d, err := k.Detect(ctx(t), f.place); err != nil || d.Found {
				if k.Name() != f.kind.Name() {
					t.Errorf("detected as %s, %v", k.Name(), err)
				}
				break
			}
		}
	})
}

func TestReadSettings(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		got, err := f.kind.ReadSettings(ctx(t), f.place)
		if err != nil || got != original() {
			t.Errorf("got %#v (password right: %v), %v", got, got.Password.Equal(original().Password), err)
		}
	})
}

func TestReadAddresses(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, want := range []sitekind.Settings{
			{Host: "db.example.com"},
			{Host: "192.0.2.7", Port: 3307},
			{Host: "localhost", Socket: "/run/mysqld/mysqld.sock"},
			{Socket: "/run/mysqld.sock"},
		} {
			s := original()
			s.Host, s.Port, s.Socket = want.Host, want.Port, want.Socket
			text := f.with(s)
			if s.Host == "" && f.quote("x") == "x" {
				continue // A bare value does not begin with a colon.
			}
			f.write(t, f.settings, text)
			if got, err := f.kind.ReadSettings(ctx(t), f.place); err != nil || got != s {
				t.Errorf("%+v: got %+v, %v", want, got, err)
			}
		}
	})
}

func TestWriteChangesTheValuesAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		before := f.tree(t)
		want := original()
		want.Name, want.User, want.Password = "new_db", "new_user", sitekind.NewSecret("Rk3-T.z_9")
		want.Host, want.Port = "10.0.0.7", 3307
		for range 2 { // It may be repeated.
			if err := f.kind.WriteSettings(ctx(t), f.place, want); err != nil {
				t.Fatal(err)
			}
			if got := f.read(t); got != f.with(want) {
				t.Fatalf("got\n%q\nwant\n%q", got, f.with(want))
			}
			if got, err := f.kind.ReadSettings(ctx(t), f.place); err != nil || got != want {
				t.Fatalf("read back %+v, %v", got, err)
			}
		}
		if !maps.Equal(before, f.tree(t)) {
			t.Error("other files changed, or one was left behind")
		}
	})
}

func TestWriteKeepsTheAddressWhenNoneIsGiven(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		want := original()
		want.Host, want.Name = "", "other"
		if err := f.kind.WriteSettings(ctx(t), f.place, want); err != nil {
			t.Fatal(err)
		}
		want.Host = "localhost"
		if got, err := f.kind.ReadSettings(ctx(t), f.place); err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestWriteOfWhatIsThereTouchesNothing(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		before, err := os.Stat(f.path())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.kind.WriteSettings(ctx(t), f.place, original()); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(f.path())
		if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
			t.Errorf("the file was written again (%v)", err)
		}
	})
}

// hostile are values that break out of quotes where they are not escaped.
func hostile() []string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return []string{`it's`, `a"b`, `back\slash\`, `$x {$y} ${z}`, "a#b;c", " space ", "two\nlines", "?><?php", `\'`, "%s%n",
		"ünïcödé", "\x00\xff", "`id`", string(all), "", "DB_PASS=x", "');die('"}
}

func TestWriteHostileValues(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, text := range hostile() {
			before := f.read(t)
			want := original()
			want.Name, want.User, want.Password = "n"+text, "u"+text, sitekind.NewSecret(text)
			err := f.kind.WriteSettings(ctx(t), f.place, want)
			switch {
			case err == nil:
				if got, err := f.kind.ReadSettings(ctx(t), f.place); err != nil || got != want {
					t.Errorf("%q does not read back: %v", text, err)
				}
			case f.anything || problemOf(err) != sitekind.Unwritable:
				t.Errorf("%q: %v", text, err)
			case f.read(t) != before:
				t.Errorf("%q was refused and the file changed", text)
			}
		}
	})
}

func TestWriteKeepsOwnerModeAndAttributes(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		if os.Geteuid() == 0 {
			if err := os.Chown(f.path(), 12345, 23456); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(f.path(), 0o460|fs.ModeSetgid); err != nil {
			t.Fatal(err)
		}
		attr := unix.Setxattr(f.path(), "user.sitekeep.test", []byte("kept"), 0)
		before := statOf(t, f.path())
		s := original()
		s.Name = "changed"
		if err := f.kind.WriteSettings(ctx(t), f.place, s); err != nil {
			t.Fatal(err)
		}
		after := statOf(t, f.path())
		if after.Uid != before.Uid || after.Gid != before.Gid || after.Mode != before.Mode || after.Ino == before.Ino {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
		value := make([]byte, 16)
		n, err := unix.Getxattr(f.path(), "user.sitekeep.test", value)
		if attr == nil && (err != nil || string(value[:n]) != "kept") {
			t.Errorf("the extended attribute is %q, %v", value[:max(n, 0)], err)
		}
	})
}

func statOf(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t)
}

func TestBrokenSettings(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, text := range []string{f.broken, "", "\x00\x01garbage\xff", strings.Repeat("x", sitekind.MaxSettings+1)} {
			f.write(t, f.settings, text)
			_, readErr := f.kind.ReadSettings(ctx(t), f.place)
			writeErr := f.kind.WriteSettings(ctx(t), f.place, original())
			for _, err := range []error{readErr, writeErr} {
				if problemOf(err) == 0 || !strings.Contains(err.Error(), f.settings) {
					t.Errorf("%.20q: got %v", text, err)
				}
			}
			if f.read(t) != text {
				t.Errorf("%.20q: the broken file was changed", text)
			}
		}
	})
}

func TestMissingSettings(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		if err := os.Remove(f.path()); err != nil {
			t.Fatal(err)
		}
		_, readErr := f.kind.ReadSettings(ctx(t), f.place)
		writeErr := f.kind.WriteSettings(ctx(t), f.place, original())
		if problemOf(readErr) != sitekind.Missing || problemOf(writeErr) != sitekind.Missing {
			t.Errorf("read: %v; write: %v", readErr, writeErr)
		}
		if d, err := f.kind.Detect(ctx(t), f.place); err != nil || !d.Found {
			t.Errorf("the site is not detected without its settings: %+v, %v", d, err)
		}
	})
}

func TestLinks(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		target := filepath.Join(f.dir, "secret.real")
		if err := os.Rename(f.path(), target); err != nil {
			t.Fatal(err)
		}
		relative, err := filepath.Rel(filepath.Dir(f.path()), target)
		if err != nil {
			t.Fatal(err)
		}
		link(t, relative, f.path())
		s := original()
		s.Name = "through"
		if err := f.kind.WriteSettings(ctx(t), f.place, s); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(target)
		if info := statOf(t, f.path()); err != nil || string(data) != f.with(s) || info.Mode&syscall.S_IFMT != syscall.S_IFLNK {
			t.Errorf("the link's target was not replaced, or the link was: %v", err)
		}

		outside := filepath.Join(t.TempDir(), "outside")
		if err := os.WriteFile(outside, []byte(f.with(original())), 0o600); err != nil {
			t.Fatal(err)
		}
		escape, err := filepath.Rel(filepath.Dir(f.path()), outside)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{outside, escape, filepath.Base(f.path())} {
			link(t, to, f.path())
			_, readErr := f.kind.ReadSettings(ctx(t), f.place)
			writeErr := f.kind.WriteSettings(ctx(t), f.place, s)
			if problemOf(readErr) != sitekind.Refused || problemOf(writeErr) != sitekind.Refused {
				t.Errorf("link to %s: read: %v; write: %v", to, readErr, writeErr)
			}
		}
		if data, err := os.ReadFile(outside); err != nil || string(data) != f.with(original()) {
			t.Errorf("a file outside of the site was written (%v)", err)
		}
	})
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func TestLeftoverOfACrashIsReplaced(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		left := filepath.Join(filepath.Dir(f.path()), ".sitekeep-"+filepath.Base(f.path())+".tmp")
		if err := os.WriteFile(left, []byte("half"), 0o666); err != nil {
			t.Fatal(err)
		}
		s := original()
		s.Name = "changed"
		if err := f.kind.WriteSettings(ctx(t), f.place, s); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) || f.read(t) != f.with(s) {
			t.Errorf("the leftover is there, or the settings are not (%v)", err)
		}
	})
}

func TestNoErrorHoldsASecret(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		s := original()
		s.Password = sitekind.NewSecret("Canary`$\\\"'\nEnd")
		text := f.with(original())
		var said []string
		for cut := 0; cut < len(text); cut += 1 + len(text)/150 {
			f.write(t, f.settings, text[:cut])
			_, err := f.kind.ReadSettings(ctx(t), f.place)
			said = append(said, fmt.Sprint(err))
			err = f.kind.WriteSettings(ctx(t), f.place, s)
			said = append(said, fmt.Sprintf("%v %+v", err, err))
		}
		for _, words := range said {
			if strings.Contains(words, "OldSecret") || strings.Contains(words, "Canary") {
				t.Fatalf("an error holds the password: %s", words)
			}
		}
	})
}

func TestContext(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		done, cancel := context.WithCancel(ctx(t))
		cancel()
		_, detectErr := f.kind.Detect(done, f.place)
		_, readErr := f.kind.ReadSettings(done, f.place)
		_, rulesErr := f.kind.Rules(done, f.place)
		writeErr := f.kind.WriteSettings(done, f.place, original())
		for _, err := range []error{detectErr, readErr, rulesErr, writeErr} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestRulesNameTheSettings(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		rules, err := f.kind.Rules(ctx(t), f.place)
		if err != nil || len(rules.Settings) != 1 || rules.Settings[0] != f.settings {
			t.Errorf("got %+v, %v", rules, err)
		}
	})
}
