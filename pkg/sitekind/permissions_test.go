package sitekind

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestWantedPermissions(t *testing.T) {
	const web, other = 33, 1000
	tests := []struct {
		name string
		path string
		dir  bool
		have owned
		want owned
		why  string
	}{
		{"plain file", "web/a.css", false, owned{other, other, 0o644}, owned{gid: other, mode: 0o644}, ""},
		{"plain directory", "web/a", true, owned{other, other, 0o755}, owned{gid: other, mode: 0o755}, ""},
		{"group of the web server", "web/a", true, owned{0, web, 0o750}, owned{gid: web, mode: 0o750}, ""},
		{"setgid directory", "web/files", true, owned{0, web, 0o770 | fs.ModeSetgid}, owned{gid: web, mode: 0o770 | fs.ModeSetgid}, ""},
		{"anybody writes a file", "web/a", false, owned{other, other, 0o666}, owned{gid: other, mode: 0o664}, "anybody"},
		{"anybody writes a directory", "x", true, owned{other, other, 0o777}, owned{gid: other, mode: 0o775}, "anybody"},
		{"sticky directory", "web/tmp", true, owned{other, other, 0o777 | fs.ModeSticky}, owned{gid: other, mode: 0o777 | fs.ModeSticky}, ""},
		{"sticky file", "web/a", false, owned{other, other, 0o666 | fs.ModeSticky}, owned{gid: other, mode: 0o664 | fs.ModeSticky}, "anybody"},

		{"root's file that nobody reads", "web/a.css", false, owned{0, 0, 0o600}, owned{gid: 0, mode: 0o604}, "may not read"},
		{"root's directory that nobody enters", "web/a", true, owned{0, 0, 0o700}, owned{gid: 0, mode: 0o705}, "may not read"},
		{"root's directory, web group", "web/a", true, owned{0, web, 0o700}, owned{gid: web, mode: 0o750}, "may not read"},
		{"entered but not read", "web/a", true, owned{0, 0, 0o711}, owned{gid: 0, mode: 0o715}, "may not read"},
		{"two faults", "web/a", false, owned{0, web, 0o602}, owned{gid: web, mode: 0o640}, "anybody"},
		{"root's file outside of the docroot", "private/a", false, owned{0, 0, 0o600}, owned{gid: 0, mode: 0o600}, ""},
		{"root's hidden file", "web/.htpasswd", false, owned{0, 0, 0o600}, owned{gid: 0, mode: 0o600}, ""},
		{"root's file in a hidden directory", "web/.git/config", false, owned{0, 0, 0o600}, owned{gid: 0, mode: 0o600}, ""},
		{"a user's own file", "web/a.php", false, owned{other, other, 0o600}, owned{gid: other, mode: 0o600}, ""},
		{"a user's own directory", "web/private", true, owned{other, other, 0o700}, owned{gid: other, mode: 0o700}, ""},
		{"the docroot", "web", true, owned{other, other, 0o700}, owned{gid: other, mode: 0o705}, "may not read"},

		{"settings that anybody reads", "conf.php", false, owned{other, other, 0o644}, owned{gid: web, mode: 0o640}, "credentials"},
		{"settings, read-only", "conf.php", false, owned{other, web, 0o444}, owned{gid: web, mode: 0o440}, "credentials"},
		{"settings that anybody writes", "conf.php", false, owned{other, web, 0o666}, owned{gid: web, mode: 0o660}, "anybody on the machine may write"},
		{"settings of root alone", "conf.php", false, owned{0, 0, 0o600}, owned{gid: web, mode: 0o640}, "may not read"},
		{"settings of PHP's user", "conf.php", false, owned{other, other, 0o600}, owned{gid: other, mode: 0o600}, ""},
		{"settings as they should be", "conf.php", false, owned{0, web, 0o640}, owned{gid: web, mode: 0o640}, ""},
		{"settings of another group", "conf.php", false, owned{other, 77, 0o640}, owned{gid: 77, mode: 0o640}, ""},
	}
	for _, c := range tests {
		w := &walker{place: Place{Docroot: "web"}, rules: Rules{Settings: []string{"conf.php"}}, web: WebAccess{GID: web}}
		got, reasons := w.want(c.path, c.dir, c.have)
		c.want.uid = c.have.uid
		if got != c.want || (c.why == "") != (len(reasons) == 0) || !strings.Contains(strings.Join(reasons, "; "), c.why) {
			t.Errorf("%s: got %+v, %v; want %+v", c.name, got, reasons, c.want)
		}
		if again, reasons := w.want(c.path, c.dir, got); again != got || len(reasons) > 0 {
			t.Errorf("%s: what was mended is a drift again: %v", c.name, reasons)
		}
		w.web.GID = -1
		if got, reasons := w.want(c.path, c.dir, c.have); got.mode&^0o002 != c.have.mode&^0o002 || got.gid != c.have.gid || len(reasons) > 1 {
			t.Errorf("%s, no group: got %+v, %v", c.name, got, reasons)
		}
	}
}

// tree makes a site with some drift in it.
func tree(t *testing.T) (Place, string) {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range map[string]fs.FileMode{"a.txt": 0o666, "ok.txt": 0o644, "sub/b.txt": 0o646, "skipped/c.txt": 0o666} {
		path := filepath.Join(dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o600), os.Chmod(path, mode))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(filepath.Join(dir, "sub"), 0o757), os.Symlink("/etc/passwd", filepath.Join(dir, "link")),
		syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o666)); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * batch {
		if err := os.WriteFile(filepath.Join(dir, "sub", fmt.Sprint(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return Place{Root: root}, dir
}

func check(t *testing.T, p Place) []Drift {
	t.Helper()
	var found []Drift
	err := CheckPermissions(t.Context(), p, Rules{Skip: []string{"skipped"}}, WebAccess{GID: -1}, func(d Drift) error {
		found = append(found, d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCheckAndMendPermissions(t *testing.T) {
	p, dir := tree(t)
	found := check(t, p)
	var names []string
	for _, d := range found {
		names = append(names, d.Path)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"a.txt", "sub", "sub/b.txt"}) {
		t.Fatalf("found %v", names)
	}
	for range 2 {
		for _, d := range found {
			if err := MendPermission(p, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	if left := check(t, p); len(left) != 0 {
		t.Errorf("left after mending: %v", left)
	}
	info, err := os.Stat(filepath.Join(dir, "sub/b.txt"))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mended to %v, %v", info.Mode(), err)
	}
}

func TestMendLeavesAloneWhatHasChanged(t *testing.T) {
	p, dir := tree(t)
	d := Drift{Path: "a.txt", Mode: 0o666, WantMode: 0o664, GID: os.Getgid(), WantGID: os.Getgid()}
	a := filepath.Join(dir, "a.txt")
	if err := os.Chmod(a, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MendPermission(p, d); err == nil {
		t.Error("a file with another mode was mended")
	}
	if err := errors.Join(os.Remove(a), os.Symlink("skipped/c.txt", a)); err != nil {
		t.Fatal(err)
	}
	if err := MendPermission(p, d); err == nil {
		t.Error("a link was followed")
	}
	d.Path = "fifo"
	if err := MendPermission(p, d); err == nil {
		t.Error("a pipe was mended")
	}
	d.Path = "gone"
	if err := MendPermission(p, d); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestCheckPermissionsStops(t *testing.T) {
	p, _ := tree(t)
	stop := errors.New("stop")
	calls := 0
	err := CheckPermissions(t.Context(), p, Rules{}, WebAccess{GID: -1}, func(Drift) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("got %v after %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := CheckPermissions(ctx, p, Rules{}, WebAccess{GID: -1}, func(Drift) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	p.Site = "nowhere"
	if err := CheckPermissions(t.Context(), p, Rules{}, WebAccess{GID: -1}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
