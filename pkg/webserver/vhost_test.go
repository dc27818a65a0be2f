package webserver

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var errScripted = errors.New("exit status 1")

func inode(info fs.FileInfo) string { return fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino) }

func TestWriteVhost(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		result, err := b.WriteVhost(t.Context(), b.site(), "t1")
		if err != nil || !result.Changed || !result.Reload.Reloaded || !result.Reload.PHP {
			t.Fatalf("got %+v, %v", result, err)
		}
		if ran := b.runner.take(); !slices.Equal(ran, []string{"test", "reload", "php"}) {
			t.Errorf("ran %v", ran)
		}
		want, err := b.RenderVhost(b.site())
		if err != nil || b.read(t) != string(want) {
			t.Errorf("the file is not what is rendered (%v)", err)
		}
		state, err := b.VhostState(t.Context(), "example.com")
		if err != nil || !state.Exists || !state.Managed || state.Edited || state.Hash != result.Hash || state.Mode != 0o644 || state.Generation == "" {
			t.Errorf("state %+v, %v", state, err)
		}
		again, err := b.WriteVhost(t.Context(), b.site(), "t1")
		if err != nil || again.Changed || !again.Reload.Reloaded {
			t.Errorf("again: %+v, %v", again, err)
		}
	})
}

func TestVhostState(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		if state, err := b.VhostState(t.Context(), "example.com"); err != nil || state != (VhostState{}) {
			t.Errorf("absent: %+v, %v", state, err)
		}
		b.put(t, "server {}", 0o600)
		if state, err := b.VhostState(t.Context(), "example.com"); err != nil || !state.Exists || state.Managed || state.Mode != 0o600 {
			t.Errorf("foreign: %+v, %v", state, err)
		}
		ours, err := b.RenderVhost(b.site())
		if err != nil {
			t.Fatal(err)
		}
		for _, edited := range []string{string(ours) + "#", strings.Replace(string(ours), "64m", "65m", 1), strings.TrimSuffix(string(ours), "\n")} {
			b.put(t, edited, 0o644)
			if state, err := b.VhostState(t.Context(), "example.com"); err != nil || !state.Managed || !state.Edited {
				t.Errorf("edited: %+v, %v", state, err)
			}
		}
	})
}

func TestForeignAndEditedVhostsAreNotReplaced(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		ours, err := b.RenderVhost(b.site())
		if err != nil {
			t.Fatal(err)
		}
		for text, edited := range map[string]bool{"server {}": false, string(ours) + "# mine\n": true} {
			b.put(t, text, 0o640)
			before := snapshot(t, b.dir)
			_, err := b.WriteVhost(t.Context(), b.site(), "t1")
			if e, ok := errors.AsType[*ForeignVhostError](err); !ok || e.Edited != edited || e.Path != b.conf() {
				t.Errorf("got %v", err)
			}
			if !maps.Equal(before, snapshot(t, b.dir)) || len(b.runner.take()) > 0 {
				t.Error("something was changed or reloaded")
			}
			site := b.site()
			site.Overwrite = true
			if _, err := b.WriteVhost(t.Context(), site, "t2"); err != nil || b.read(t) != string(ours) {
				t.Errorf("overwrite: %v", err)
			}
			if _, err := b.RevertVhost(t.Context(), "example.com", "t2"); err != nil || !maps.Equal(before, snapshot(t, b.dir)) {
				t.Errorf("it did not come back as it was: %v", err)
			}
			b.runner.take()
		}
	})
}

func TestForgetVhost(t *testing.T) {
	eachBefore(t, func(t *testing.T, b *bench, site Site) {
		if _, err := b.WriteVhost(t.Context(), site, "t1"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := b.ForgetVhost(t.Context(), "example.com", "t1"); err != nil {
				t.Fatal(err)
			}
		}
		want := b.read(t)
		for name := range snapshot(t, b.dir) {
			if strings.Contains(name, "sitekeep-") {
				t.Errorf("%s is left", name)
			}
		}
		b.runner.take()
		if _, err := b.RevertVhost(t.Context(), "example.com", "t1"); err != nil || b.read(t) != want || len(b.runner.take()) > 0 {
			t.Errorf("a forgotten change was reverted: %v", err)
		}
	})
}

func TestRemoveVhost(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		if _, err := b.WriteVhost(t.Context(), b.site(), "t1"); err != nil {
			t.Fatal(err)
		}
		if err := b.ForgetVhost(t.Context(), "example.com", "t1"); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, b.dir)
		for range 2 {
			if r, err := b.RemoveVhost(t.Context(), "example.com", "t2"); err != nil || !r.Reloaded {
				t.Fatalf("%+v, %v", r, err)
			}
			if state, err := b.VhostState(t.Context(), "example.com"); err != nil || state.Exists {
				t.Errorf("%+v, %v", state, err)
			}
		}
		if _, err := b.RevertVhost(t.Context(), "example.com", "t2"); err != nil || !maps.Equal(before, snapshot(t, b.dir)) {
			t.Errorf("revert: %v", err)
		}
		b.put(t, "server {}", 0o644)
		if _, err := b.RemoveVhost(t.Context(), "example.com", "t3"); err == nil || b.read(t) != "server {}" {
			t.Errorf("a foreign virtual host was removed: %v", err)
		}
	})
}

func TestMissingDirectory(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		if err := os.Remove(b.dir); err != nil {
			t.Fatal(err)
		}
		_, writeErr := b.WriteVhost(t.Context(), b.site(), "t1")
		_, stateErr := b.VhostState(t.Context(), "example.com")
		_, maintenanceErr := b.BeginMaintenance(t.Context(), "example.com", "o", Forever)
		for _, err := range []error{writeErr, stateErr, maintenanceErr} {
			if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "include") {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestNamesAndTokensAreChecked(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		for _, name := range []string{"", ".", "..", "../x", "a/b", "a b", "a\nb", "-a", "a..b", "a;b", "ä.de", "$x", "a.", strings.Repeat("a", 254)} {
			site := b.site()
			site.Name = name
			_, e1 := b.WriteVhost(t.Context(), site, "t1")
			_, e2 := b.RevertVhost(t.Context(), name, "t1")
			e3 := b.ForgetVhost(t.Context(), name, "t1")
			_, e4 := b.RemoveVhost(t.Context(), name, "t1")
			_, e5 := b.BeginMaintenance(t.Context(), name, "o", Forever)
			_, e6 := b.EndMaintenance(t.Context(), name, "o")
			_, e7 := b.VhostState(t.Context(), name)
			_, e8 := b.Probe(t.Context(), ProbeRequest{Name: name})
			for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8} {
				if err == nil {
					t.Errorf("name %q is accepted by call %d", name, i+1)
				}
			}
		}
		for _, token := range []string{"", "a/b", "..", "a b", "a.b", strings.Repeat("a", 65)} {
			if _, err := b.WriteVhost(t.Context(), b.site(), token); err == nil {
				t.Errorf("token %q is accepted", token)
			}
		}
		for _, alias := range []string{"a b", "a;", "~x", "*", "*.*.a", "a\n"} {
			site := b.site()
			site.Aliases = []string{alias}
			if _, err := b.RenderVhost(site); err == nil {
				t.Errorf("alias %q is accepted", alias)
			}
		}
		if len(snapshot(t, b.dir)) != 0 || len(b.runner.take()) != 0 {
			t.Error("something was written or run")
		}
	})
}
