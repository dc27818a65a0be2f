package backup_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/backup/backuptest"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

const retryFor = 15 * time.Minute

// patient lets the maker try again, without real waits: those move the rig's clock.
func (r *rig) patient(change ...func(*backup.Deps)) *[]time.Duration {
	var (
		mu    sync.Mutex
		waits []time.Duration
	)
	d := backup.Deps{
		Agents: r.agents, Store: r.shelf, Catalogue: r.book, Software: "sitekeep test", Server: hclog.NewNullLogger(), RetryFor: retryFor,
		Now: r.time,
		Wait: func(ctx context.Context, d time.Duration) error {
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, d)
			r.pass(d)
			return ctx.Err()
		},
	}
	for _, f := range change {
		f(&d)
	}
	r.maker = backup.New(d)
	return &waits
}

var errCut = errs.New(errs.Unreachable, "start it", "the connection is cut")

// cuts breaks streams of the kinds that are named before items of chance, so often.
func (r *rig) cuts(times int, calls ...string) {
	chance := rand.New(rand.NewPCG(1, 2))
	r.agents.Broken = func(call string) error {
		seldom := map[string]int{"tree item": 3, "dump item": 12}[call] // a dump must come through in one go
		if times > 0 && slices.Contains(calls, call) && chance.IntN(seldom) == 0 {
			times--
			return errCut
		}
		return nil
	}
}

func (r *rig) count(call string) int {
	n := 0
	for _, c := range r.agents.Calls() {
		if c == call {
			n++
		}
	}
	return n
}

// bigTables makes a dump of some dozens of frames.
func (r *rig) bigTables() {
	r.agents.Tables = nil
	for i := range 20 {
		row := make([]byte, 90<<10)
		for k := range row {
			row[k] = byte('a' + (k*k*31+k*i*7+i*i)%26)
		}
		r.agents.Tables = append(r.agents.Tables, backuptest.Table{Name: fmt.Sprintf("t%02d", i), Rows: []string{string(row), "second"}})
	}
}

// TestABackupOutlivesCuts breaks both streams again and again: the backup is the same as without, and says nothing of it
// but in its log.
func TestABackupOutlivesCuts(t *testing.T) {
	for _, format := range []string{"tar.zst", "tar.gz"} {
		t.Run(format, func(t *testing.T) {
			r := newRig(t)
			r.bigTables()
			of := func(q *backup.Request) { q.Format = format }
			waits := r.patient()
			for _, what := range []string{"first", "with a base"} {
				whole := r.made(of)
				r.must(r.book.DeleteBackup(r.Context(), whole.ID))
				want := r.framesOf(whole)
				r.cuts(100, "tree item", "dump item")
				before := len(*waits)
				b := r.made(of)
				if n := len(*waits) - before; n < 5 {
					t.Errorf("%s: only %d cuts", what, n)
				}
				if got := r.framesOf(b); !slices.Equal(got, want) || max(b.NewBytes-whole.NewBytes, whole.NewBytes-b.NewBytes) > 64 /* times in headers */ || b.Files != whole.Files || b.Rows != whole.Rows || len(b.Warnings) != 0 {
					t.Errorf("%s: without cuts %+v, with them %+v", what, whole, b)
				}
				if problem := r.check(b.ID); problem != "" {
					t.Error(problem)
				}
				r.agents.Broken = nil
				r.write("files/050.php", "<?php // changed\n")
				r.agents.Tables[7].Rows[1] = "changed"
			}
			if text := strings.Join(r.log.text, "\n"); !strings.Contains(text, "connection to web1 lost after") || !strings.Contains(text, "MiB are kept") ||
				!strings.Contains(text, "connection to db1 lost after") || len(r.log.warnings) != 0 {
				t.Errorf("log: %s", text)
			}
		})
	}
}

// framesOf reads the tarball of a backup, listed or not.
func (r *rig) framesOf(b *model.Backup) []string {
	r.Helper()
	t, err := backup.OpenTarball(r.Context(), r.shelf, b)
	r.must(err)
	defer t.Close()
	var out []string
	for f, err := range t.Frames() {
		r.must(err)
		if f.Kind != archive.KindGlue { // that has the time of the backup
			out = append(out, fmt.Sprintf("%s %d %s", f.Kind, f.PlainLength, f.Hash))
		}
	}
	return out
}

// TestOneStreamBreaks and the other goes on.
func TestOneStreamBreaks(t *testing.T) {
	for broken, other := range map[string]string{"dump": "tree", "tree": "dump"} {
		r := newRig(t)
		r.bigTables()
		r.patient()
		r.cuts(20, broken+" item")
		b := r.made()
		if r.count(other) != 1 || r.count(broken) < 4 {
			t.Errorf("%s was called %d times, %s %d times", broken, r.count(broken), other, r.count(other))
		}
		r.nothing(b.ID)
	}
}

// TestCutAtTheSummary loses nothing but the closing message.
func TestCutAtTheSummary(t *testing.T) {
	for _, call := range []string{"tree summary", "dump summary"} {
		r := newRig(t)
		r.patient()
		first := true
		r.agents.Broken = func(c string) error {
			if c == call && first {
				first = false
				return errCut
			}
			return nil
		}
		b := r.made()
		if first || b.Files != 103 || b.Rows != 4 {
			t.Errorf("%s: cut %v, backup %+v", call, !first, b)
		}
		if problem := r.check(b.ID); problem != "" {
			t.Error(problem)
		}
	}
}

// TestTheAgentStaysAway: after the bound the backup fails, for good, and nothing is left.
func TestTheAgentStaysAway(t *testing.T) {
	for _, c := range []struct {
		q     func(*backup.Request)
		bound time.Duration
	}{{func(*backup.Request) {}, retryFor}, {salvage, time.Minute}} {
		r := newRig(t)
		waits := r.patient()
		gone := false
		r.agents.Broken = func(call string) error {
			gone = gone || call == "tree item"
			if gone && strings.HasPrefix(call, "tree") {
				return errCut
			}
			return nil
		}
		begun := r.now
		_, err := r.make(c.q)
		if !errs.Is(err, errs.Unreachable) || errs.Temporary(err) || errs.HintOf(err) != "start it" || !strings.Contains(err.Error(), "gave up after "+c.bound.String()) {
			t.Errorf("error = %v, hint %q", err, errs.HintOf(err))
		}
		waited := time.Duration(0)
		for i, w := range *waits {
			waited += w
			if w > 30*time.Second || i < 5 && w < time.Second<<i/2 && waited < c.bound {
				t.Errorf("wait %d took %s", i, w)
			}
		}
		if waited != c.bound || r.now.Sub(begun) < waited {
			t.Errorf("waited for %s in %d attempts, want %s", waited, len(*waits), c.bound)
		}
		r.nothing()
	}
}

// TestGettingOnBeginsTheBoundAnew: a line that breaks every ten minutes is slow, and not gone.
func TestGettingOnBeginsTheBoundAnew(t *testing.T) {
	r := newRig(t)
	r.bigTables()
	waits := r.patient()
	items, calls := 0, 0
	r.agents.Broken = func(call string) error {
		switch call {
		case "dump":
			items = 0
			calls++
		case "dump item":
			if items++; items > calls {
				r.pass(10 * time.Minute)
				return errCut
			}
		}
		return nil
	}
	r.made()
	if calls < 5 || len(*waits) != calls-1 {
		t.Errorf("%d calls, %d waits", calls, len(*waits))
	}
}

// TestWhatDoesNotPass is not tried again.
func TestWhatDoesNotPass(t *testing.T) {
	for _, kind := range []errs.Kind{errs.Permission, errs.NotFound, errs.Corrupt, errs.Failed, errs.Precondition, errs.NoSpace} {
		r := newRig(t)
		waits := r.patient()
		n := 0
		r.agents.Broken = func(call string) error {
			if call == "tree item" {
				if n++; n == 3 {
					return errs.New(kind, "", "no")
				}
			}
			return nil
		}
		if _, err := r.make(); !errs.Is(err, kind) || len(*waits) != 0 {
			t.Errorf("%s: %v after %d waits", kind, err, len(*waits))
		}
		r.nothing()
	}
	r := newRig(t)
	waits := r.patient(func(d *backup.Deps) { d.Store = &fullStore{Local: r.shelf} })
	if _, err := r.make(); !errs.Is(err, errs.NoSpace) || len(*waits) != 0 {
		t.Errorf("a full store: %v after %d waits", err, len(*waits))
	}
}

// TestWhatNeverBegan is the queue's to try again.
func TestWhatNeverBegan(t *testing.T) {
	for _, call := range []string{"tree", "dump"} {
		r := newRig(t)
		waits := r.patient()
		r.agents.Broken = func(c string) error {
			if c == call {
				return errCut
			}
			return nil
		}
		if _, err := r.make(); !errs.Temporary(err) || len(*waits) != 0 {
			t.Errorf("%s: %v after %d waits", call, err, len(*waits))
		}
		r.nothing()
	}
}

// TestCancelledWhileItWaits ends at once.
func TestCancelledWhileItWaits(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.patient(func(d *backup.Deps) {
		d.Wait = nil // the real one
	})
	r.cuts(1000, "tree item")
	r.log.on = func(text string) {
		if strings.Contains(text, "trying again") {
			cancel()
		}
	}
	if _, err := r.maker.Make(ctx, r.request(), r.log); !errs.Is(err, errs.Cancelled) {
		t.Errorf("error = %v", err)
	}
	if n := r.count("tree"); n != 1 {
		t.Errorf("the tree was asked for %d times", n)
	}
	r.nothing()
}

// TestTheWalksStart is that of the first walk that broke; one that is not known makes nothing trusted.
func TestTheWalksStart(t *testing.T) {
	r := newRig(t)
	r.patient()
	r.cuts(3, "tree item")
	begun := time.Now()
	r.made()
	asked := r.agents.Asked()
	first := asked[1].PartialStartedAt
	if len(asked) != 4 || asked[0].Partial || first.Before(begun) || first.After(time.Now()) {
		t.Fatalf("asked: %+v", asked)
	}
	for _, q := range asked[1:] {
		if !q.Partial || !q.PartialStartedAt.Equal(first) {
			t.Errorf("asked: %+v, want the start %v", q, first)
		}
	}
	r = newRig(t)
	r.patient()
	r.agents.OfOld = true
	items := 0
	r.agents.Broken = func(call string) error {
		if call == "tree item" {
			if items++; items == 3 || items == 7 {
				r.agents.OfOld = false // it is updated meanwhile, which makes the first walk's start no better known
				return errCut
			}
		}
		return nil
	}
	b := r.made(func(q *backup.Request) { q.Site.DBServer = "" })
	if n := len(r.agents.Asked()); n != 3 {
		t.Errorf("%d attempts", n)
	}
	for _, q := range r.agents.Asked()[1:] {
		if !q.Partial || !q.PartialStartedAt.IsZero() {
			t.Errorf("asked of an old agent: %+v", q)
		}
	}
	if problem := r.check(b.ID); problem != "" {
		t.Error(problem)
	}
}

// TestWarningsComeOnce, however often the walk does.
func TestWarningsComeOnce(t *testing.T) {
	r := newRig(t)
	r.must(os.Symlink("x", filepath.Join(r.agents.Dir, "link")))
	r.socket("a.sock")
	r.patient()
	r.cuts(10, "tree item")
	b := r.made()
	if len(b.Warnings) != 1 || len(r.log.warnings) != 1 || r.count("tree") < 5 {
		t.Errorf("after %d walks: %q, in the log %q", r.count("tree"), b.Warnings, r.log.warnings)
	}
}

// TestTheSiteChangesWhileTheLineIsDown: the changed file is the new one.
func TestTheSiteChangesWhileTheLineIsDown(t *testing.T) {
	r := newRig(t)
	changes := 0
	r.patient(func(d *backup.Deps) {
		d.Wait = func(ctx context.Context, _ time.Duration) error {
			changes++
			r.write(fmt.Sprintf("files/%03d.php", changes), fmt.Sprintf("<?php // changed %d\n", changes))
			r.write("big.bin", strings.Repeat(fmt.Sprint(changes), 1<<19))
			return ctx.Err()
		}
	})
	r.cuts(12, "tree item")
	b := r.made()
	if problem := r.check(b.ID); problem != "" {
		t.Fatal(problem)
	}
	tarball := r.open(b.ID)
	if changes < 5 || r.content(tarball, "./big.bin") != strings.Repeat(fmt.Sprint(changes), 1<<19) {
		t.Errorf("big.bin is not that of change %d", changes)
	}
	for n := 1; n <= changes; n++ {
		if got := r.content(tarball, fmt.Sprintf("./files/%03d.php", n)); got != fmt.Sprintf("<?php // changed %d\n", n) {
			t.Errorf("file %d is %.40q", n, got)
		}
	}
}
