package transport_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
)

// chances are so many cuts behind numbers of bytes of chance.
func chances(seed uint64, n int, most int64) []int64 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := []int64{most} // the first lets the stream begin
	for range n - 1 {
		out = append(out, r.Int64N(most)+1)
	}
	return out
}

// TestAHundredCuts resets connections a hundred times during one backup: no
// frame that came is sent again, and the digest is that of the backup without cuts.
func TestAHundredCuts(t *testing.T) {
	s := newServers(t)
	s.plant(2000)
	straight := newProxy(t, s.web.address, nil)
	whole := s.master(straight.address, s.db.address)
	want := whole.backup("tar.zst")
	web := newProxy(t, s.web.address, chances(1, 100, 700<<10))
	db := newProxy(t, s.db.address, append(chances(2, 3, 1<<20), 2<<20))
	m := s.master(web.address, db.address)
	got := m.backup("tar.zst")
	up, cuts := web.told()
	least, _ := straight.told()
	again := m.came.Load() - whole.came.Load()
	t.Logf("%d cuts: %d bytes of frames, %d of them again; on the wire %d bytes up, %d without cuts", cuts, m.came.Load(), again, up, least)
	if torn := (up - least) / int64(cuts); torn > 60<<10 {
		t.Errorf("a cut costs %d bytes on the wire: frames do not come in parts", torn)
	}
	if _, dumps := db.told(); cuts < 60 || dumps < 2 {
		t.Errorf("only %d and %d cuts", cuts, dumps)
	}
	if got.Digest != want.Digest || again*100 > whole.came.Load() || got.NewBytes != want.NewBytes {
		t.Errorf("with cuts %+v, without %+v, %d bytes again", got, want, again)
	}
	if lines := m.lines(); strings.Contains(lines, "WARNING") || strings.Count(lines, "connection to web1 lost after") < 60 {
		t.Errorf("log:\n%s", lines)
	}
}

// TestABaseAndCuts has an earlier backup and what came before a cut as bases, with gzip.
func TestABaseAndCuts(t *testing.T) {
	s := newServers(t)
	s.plant(400)
	web, db := newProxy(t, s.web.address, nil), newProxy(t, s.db.address, nil)
	whole, m := s.master(s.web.address, s.db.address), s.master(web.address, db.address)
	s.must(os.WriteFile(filepath.Join(s.root, "d00", "CACHEDIR.TAG"), []byte("Signature: 8a477f597d28d172789f06886806bc55\n"), 0o644))
	caches := func(q *backup.Request) { q.Site.ExcludeCaches = true }
	first := m.backup("tar.gz", caches)
	whole.backup("tar.gz", caches)
	if first.Files != 400+40+1-10+1 {
		t.Errorf("%d entries, with ten of them in a directory of caches", first.Files)
	}
	s.now = s.now.Add(time.Hour)
	for i := range 40 {
		s.must(os.WriteFile(filepath.Join(s.root, "d07", "f"+strings.Repeat("x", i+1)), []byte(strings.Repeat("changed ", 20000+i)), 0o644))
	}
	s.dump[30] = "INSERT INTO `t` VALUES ('changed');\n"
	web.mu.Lock()
	web.cuts = chances(3, 30, 40<<10)
	web.mu.Unlock()
	web.reset()
	want, got := whole.backup("tar.gz", caches), m.backup("tar.gz", caches)
	_, cuts := web.told()
	if cuts < 10 || got.Digest != want.Digest || got.NewBytes != want.NewBytes || m.came.Load() != whole.came.Load() {
		t.Errorf("%d cuts: %+v (%d bytes came), without %+v (%d)", cuts, got, m.came.Load(), want, whole.came.Load())
	}
}

// TestAgentsRestart in the middle of a backup, and are away for a while.
func TestAgentsRestart(t *testing.T) {
	s := newServers(t)
	s.plant(400)
	m := s.master(s.web.address, s.db.address, func(d *backup.Deps) { d.Wait = nil })
	var once sync.Once
	down := make(chan struct{})
	m.first = func() {
		once.Do(func() {
			go func() {
				defer close(down)
				s.web.stop()
				time.Sleep(100 * time.Millisecond)
				s.web.start()
			}()
		})
	}
	m.backup("tar.zst")
	<-down
	if lines := m.lines(); !strings.Contains(lines, "connection to web1 lost after") || strings.Contains(lines, "connection to db1") {
		t.Errorf("log:\n%s", lines)
	}
}

// TestTheNetworkStaysAway longer than the bound: the backup fails, and says why.
func TestTheNetworkStaysAway(t *testing.T) {
	s := newServers(t)
	s.plant(400)
	m := s.master(s.web.address, s.db.address, func(d *backup.Deps) { d.Wait, d.RetryFor, d.Now = nil, 2*time.Second, time.Now })
	var once sync.Once
	m.first = func() { once.Do(func() { go s.web.server.Stop() }) }
	_, err := m.maker.Make(t.Context(), m.request("tar.zst"), m)
	if !errs.Is(err, errs.Unreachable) || errs.Temporary(err) || !strings.Contains(err.Error(), "gave up after 2s") || !strings.Contains(errs.HintOf(err), "sitekeep server check web1") {
		t.Errorf("error = %v, hint %q", err, errs.HintOf(err))
	}
}
