package webserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func (b *bench) flagThere(t *testing.T) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(b.dir, "example.com.maintenance"))
	return err == nil
}

func (b *bench) begin(t *testing.T, owner string, lease time.Duration) MaintenanceResult {
	t.Helper()
	r, err := b.BeginMaintenance(t.Context(), "example.com", owner, lease)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *bench) end(t *testing.T, owner string) bool {
	t.Helper()
	ended, err := b.EndMaintenance(t.Context(), "example.com", owner)
	if err != nil {
		t.Fatal(err)
	}
	return ended
}

func TestMaintenanceBeginsAndEnds(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		for range 2 {
			if r := b.begin(t, "task-1", time.Minute); !r.Until.Equal(b.clock.Add(time.Minute)) || !b.flagThere(t) {
				t.Errorf("got %+v", r)
			}
		}
		list, err := b.ListMaintenance(t.Context())
		want := []Maintenance{{Name: "example.com", Owner: "task-1", Begun: b.clock, Until: b.clock.Add(time.Minute)}}
		if err != nil || !slices.Equal(list, want) {
			t.Errorf("list %v, %v", list, err)
		}
		if b.end(t, "task-2") || !b.flagThere(t) {
			t.Error("another owner ended it")
		}
		for range 2 {
			if !b.end(t, "task-1") || b.flagThere(t) {
				t.Error("it did not end")
			}
		}
		if left := withoutInclude(snapshot(t, b.dir)); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		if ran := b.runner.take(); len(ran) != 0 {
			t.Errorf("maintenance ran %v; it needs no reload", ran)
		}
	})
}

func TestMaintenanceIsEnsuredByOurVhostOnly(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		check := func(words string) {
			t.Helper()
			r := b.begin(t, "task", time.Minute)
			if r.Ensured != (words == "") || !strings.Contains(r.Reason, words) || !b.flagThere(t) {
				t.Errorf("want %q, got %+v", words, r)
			}
		}
		check("no managed virtual host")
		b.put(t, "server {}", 0o644)
		check("not written by sitekeep")
		text, err := b.RenderVhost(b.site())
		if err != nil {
			t.Fatal(err)
		}
		b.put(t, string(text), 0o644)
		check("")
		b.put(t, string(text)+"# x", 0o644)
		check("edited by hand")
	})
}

func TestMaintenanceLease(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		b.begin(t, "task-1", time.Minute)
		b.begin(t, "task-2", Forever)
		b.clock = b.clock.Add(50 * time.Second)
		until, err := b.RenewMaintenance(t.Context(), "example.com", "task-1", time.Minute)
		if err != nil || !until.Equal(b.clock.Add(time.Minute)) {
			t.Errorf("renewed until %v, %v", until, err)
		}
		sweep := func(after time.Duration) []string {
			t.Helper()
			ended, err := b.SweepMaintenance(t.Context(), b.clock.Add(after))
			if err != nil {
				t.Fatal(err)
			}
			var owners []string
			for _, m := range ended {
				owners = append(owners, m.Name+" "+m.Owner)
			}
			return owners
		}
		if got := sweep(59 * time.Second); got != nil {
			t.Errorf("swept %v before its time", got)
		}
		if got := sweep(61 * time.Second); !slices.Equal(got, []string{"example.com task-1"}) {
			t.Errorf("swept %v", got)
		}
		if _, err := b.RenewMaintenance(t.Context(), "example.com", "task-1", time.Minute); !errors.Is(err, ErrNoMaintenance) {
			t.Errorf("a swept lease was renewed: %v", err)
		}
		if got := sweep(1000 * time.Hour); got != nil || !b.flagThere(t) {
			t.Errorf("a lease without end was swept: %v", got)
		}
		if !b.end(t, "task-2") {
			t.Error("it did not end")
		}
		if _, err := b.RenewMaintenance(t.Context(), "example.com", "task-2", time.Minute); !errors.Is(err, ErrNoMaintenance) || b.flagThere(t) {
			t.Errorf("renewed what was ended: %v", err)
		}
	})
}

func TestMaintenanceMadeByHandStays(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		for _, text := range []string{"", "closed until Monday\n", "{}", `{"pass":"../../x","holders":[{"owner":"x"}]}`} {
			put(t, b.dir, "example.com.maintenance", text)
			b.begin(t, "task-1", time.Minute)
			if _, err := b.SweepMaintenance(t.Context(), b.clock.Add(time.Hour)); err != nil || !b.flagThere(t) {
				t.Errorf("%q: swept with the lease: %v", text, err)
			}
			b.begin(t, "task-2", time.Minute)
			if b.end(t, "task-2") || !b.flagThere(t) {
				t.Errorf("%q: ended with the task", text)
			}
			list, err := b.ListMaintenance(t.Context())
			if err != nil || len(list) != 1 || list[0].Owner != ByHand {
				t.Errorf("%q: list %v, %v", text, list, err)
			}
			if err := os.Remove(filepath.Join(b.dir, "example.com.maintenance")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.BeginMaintenance(t.Context(), "example.com", ByHand, Forever); err == nil {
			t.Error("somebody may own what was made by hand")
		}
	})
}

func TestMaintenanceIsChecked(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		for _, lease := range []time.Duration{0, -1} {
			if _, err := b.BeginMaintenance(t.Context(), "example.com", "o", lease); err == nil {
				t.Errorf("a lease of %s is accepted", lease)
			}
		}
		for _, owner := range []string{"", strings.Repeat("x", maxOwner+1)} {
			if _, err := b.BeginMaintenance(t.Context(), "example.com", owner, time.Minute); err == nil {
				t.Errorf("owner %q is accepted", owner)
			}
		}
		if b.flagThere(t) {
			t.Error("a flag was set")
		}
	})
}

func TestMaintenanceOfManyOwnersAtOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if _, err := b.BeginMaintenance(t.Context(), "example.com", fmt.Sprint(i), time.Minute); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if list, err := b.ListMaintenance(t.Context()); err != nil || len(list) != 20 {
			t.Errorf("%d holders, %v", len(list), err)
		}
		for i := range 20 {
			if ended := b.end(t, fmt.Sprint(i)); ended != (i == 19) {
				t.Errorf("ended is %v after %d", ended, i)
			}
		}
	})
}

func TestMaintenanceCleansUpAfterACrash(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		put(t, b.dir, "example.com.maintenance-"+strings.Repeat("A", 26), "") // the pass, before its flag was written
		put(t, b.dir, "example.com.maintenance.sitekeep-tmp", `{"pa`)
		b.begin(t, "task-1", time.Minute)
		if !b.end(t, "task-1") || len(withoutInclude(snapshot(t, b.dir))) != 0 {
			t.Errorf("left behind: %v", snapshot(t, b.dir))
		}
	})
}

func TestMaintenanceWaitsForNobodyForEver(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		b.flagging <- struct{}{}
		b.changing <- struct{}{}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, e1 := b.BeginMaintenance(ctx, "example.com", "o", time.Minute)
		_, e2 := b.WriteVhost(ctx, b.site(), "t")
		_, e3 := b.Reload(ctx)
		for _, err := range []error{e1, e2, e3, b.Test(ctx)} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
	})
}

// withoutInclude leaves out what an operator's virtual host may include, which
// stays: without it, the web server's configuration would be broken.
func withoutInclude(files map[string]string) map[string]string {
	delete(files, "example.com"+includeSuffix)
	return files
}
