package webserver

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// befores are what may be there before a change.
func befores() map[string]func(t *testing.T, b *bench) {
	return map[string]func(t *testing.T, b *bench){
		"absent": func(*testing.T, *bench) {},
		"ours": func(t *testing.T, b *bench) {
			site := b.site()
			site.Docroot = "/old"
			text, err := b.RenderVhost(site)
			if err != nil {
				t.Fatal(err)
			}
			b.put(t, string(text), 0o604)
		},
		"foreign": func(t *testing.T, b *bench) { b.put(t, "# by hand\r\n\x00\xff", 0o4600) },
		"link that leads out": func(t *testing.T, b *bench) {
			if err := os.Symlink("../../sites-available/x", b.conf()); err != nil {
				t.Fatal(err)
			}
		},
		"link": func(t *testing.T, b *bench) {
			other := filepath.Join(b.dir, "elsewhere")
			if err := errors.Join(os.WriteFile(other, []byte("x"), 0o600), os.Symlink("elsewhere", b.conf())); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// eachBefore runs a test over all kinds and all that may be there before.
func eachBefore(t *testing.T, test func(t *testing.T, b *bench, site Site)) {
	for _, row := range kindRows() {
		for name, prepare := range befores() {
			t.Run(row.name+"/"+name, func(t *testing.T) {
				b := newBench(t, row.name, nil)
				prepare(t, b)
				site := b.site()
				site.Overwrite = true
				test(t, b, site)
			})
		}
	}
}

func TestFailedCommandPutsBackWhatWasThere(t *testing.T) {
	tests := []struct {
		command, what string
		ran           []string
	}{
		{"test", whatTest, []string{"test", "test"}},
		{"reload", whatReload, []string{"test", "reload", "test", "reload"}},
		{"php", whatPHPReload, []string{"test", "reload", "php", "test", "reload", "php"}},
	}
	for _, c := range tests {
		t.Run(c.command, func(t *testing.T) {
			eachBefore(t, func(t *testing.T, b *bench, site Site) {
				before := snapshot(t, b.dir)
				seen := ""
				b.runner.hook = func(string) {
					if data, err := os.ReadFile(b.conf()); err == nil && seen == "" {
						seen = string(data)
					}
				}
				b.runner.fail = func(command string) error {
					if command == c.command {
						return errScripted
					}
					return nil
				}
				_, err := b.WriteVhost(t.Context(), site, "t1")
				e, ok := errors.AsType[*CommandError](err)
				if !ok || e.What != c.what || e.Output != "output of "+c.command || !errors.Is(err, errScripted) {
					t.Fatalf("got %v", err)
				}
				if e.AlreadyBroken != (c.command == "test") {
					t.Errorf("AlreadyBroken is %v", e.AlreadyBroken)
				}
				if want, _ := b.RenderVhost(site); seen != string(want) {
					t.Error("the command did not see the new virtual host")
				}
				if ran := b.runner.take(); !slices.Equal(ran, c.ran) {
					t.Errorf("ran %v, want %v", ran, c.ran)
				}
				if after := snapshot(t, b.dir); !maps.Equal(before, after) {
					t.Errorf("before %v\nafter %v", before, after)
				}
			})
		})
	}
}

func TestATestThatFailsBecauseOfUs(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		b.runner.fail = func(string) error {
			if _, err := os.Stat(b.conf()); err == nil {
				return errScripted
			}
			return nil
		}
		_, err := b.WriteVhost(t.Context(), b.site(), "t1")
		if e, ok := errors.AsType[*CommandError](err); !ok || e.AlreadyBroken {
			t.Errorf("got %v", err)
		}
	})
}

func TestCancelledChangePutsBackWhatWasThere(t *testing.T) {
	eachBefore(t, func(t *testing.T, b *bench, site Site) {
		before := snapshot(t, b.dir)
		ctx, cancel := context.WithCancel(t.Context())
		first := true
		b.runner.hook = func(command string) {
			if command == "reload" && first {
				first = false
				cancel()
			}
		}
		if _, err := b.WriteVhost(ctx, site, "t1"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if !maps.Equal(before, snapshot(t, b.dir)) {
			t.Error("something is not as it was")
		}
		if ran := b.runner.take(); !slices.Equal(ran, []string{"test", "reload", "test", "reload", "php"}) {
			t.Errorf("the old virtual host was not reloaded: %v", ran)
		}
	})
}

func TestRevertVhost(t *testing.T) {
	eachBefore(t, func(t *testing.T, b *bench, site Site) {
		before := snapshot(t, b.dir)
		for range 2 { // Repeating the change keeps the oldest state.
			if _, err := b.WriteVhost(t.Context(), site, "t1"); err != nil {
				t.Fatal(err)
			}
		}
		saved, err := b.SavedVhosts(t.Context())
		if err != nil || !slices.Equal(saved, []SavedVhost{{"example.com", "t1"}}) {
			t.Errorf("saved %v, %v", saved, err)
		}
		b.runner.take()
		for range 3 {
			if _, err := b.RevertVhost(t.Context(), "example.com", "t1"); err != nil {
				t.Fatal(err)
			}
			if after := snapshot(t, b.dir); !maps.Equal(before, after) {
				t.Fatalf("before %v\nafter %v", before, after)
			}
		}
		if ran := b.runner.take(); !slices.Equal(ran, []string{"test", "reload", "php"}) {
			t.Errorf("ran %v: one reload, and none when there is nothing to revert", ran)
		}
	})
}

// TestRevertAfterACrash begins in every state that a killed WriteVhost or
// RevertVhost leaves behind.
func TestRevertAfterACrash(t *testing.T) {
	crashes := map[string]func(d *vhostDir) error{
		"before anything": func(*vhostDir) error { return nil },
		"saved":           func(d *vhostDir) error { return d.save("example.com", "t1") },
		"half written": func(d *vhostDir) error {
			return errors.Join(d.save("example.com", "t1"), d.writeNew("example.com"+tempMark+"t1", []byte("half"), 0o600))
		},
		"written": func(d *vhostDir) error {
			return errors.Join(d.save("example.com", "t1"), d.replace("example.com.conf", "example.com"+tempMark+"t1", []byte("new"), 0o644))
		},
		"put back": func(d *vhostDir) error {
			err := errors.Join(d.save("example.com", "t1"), d.replace("example.com.conf", "example.com"+tempMark+"t1", []byte("new"), 0o644))
			saved, serr := d.saved("example.com", "t1")
			return errors.Join(err, serr, d.putBack("example.com", "t1", saved))
		},
	}
	for name, crash := range crashes {
		t.Run(name, func(t *testing.T) {
			eachBefore(t, func(t *testing.T, b *bench, _ Site) {
				before := snapshot(t, b.dir)
				d, err := b.openDir()
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				if err := crash(d); err != nil {
					t.Fatal(err)
				}
				if _, err := b.RevertVhost(t.Context(), "example.com", "t1"); err != nil {
					t.Fatal(err)
				}
				if after := snapshot(t, b.dir); !maps.Equal(before, after) {
					t.Fatalf("before %v\nafter %v", before, after)
				}
			})
		})
	}
}

func TestRevertIsRepeatedUntilTheReloadWorks(t *testing.T) {
	eachBefore(t, func(t *testing.T, b *bench, site Site) {
		before := snapshot(t, b.dir)
		if _, err := b.WriteVhost(t.Context(), site, "t1"); err != nil {
			t.Fatal(err)
		}
		b.runner.fail = func(string) error { return errScripted }
		if _, err := b.RevertVhost(t.Context(), "example.com", "t1"); !errors.Is(err, errScripted) {
			t.Fatalf("got %v", err)
		}
		now := snapshot(t, b.dir)
		if now["example.com.conf"] != before["example.com.conf"] {
			t.Error("the file is not back although only the reload failed")
		}
		b.runner.fail = nil
		b.runner.take()
		if _, err := b.RevertVhost(t.Context(), "example.com", "t1"); err != nil || !maps.Equal(before, snapshot(t, b.dir)) {
			t.Errorf("second revert: %v", err)
		}
		if ran := b.runner.take(); !slices.Contains(ran, "reload") {
			t.Error("the second revert did not reload")
		}
	})
}
