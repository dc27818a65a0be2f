//go:build integration

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestLargeRowsAndNoMemory has rows of a hundred megabytes. First their agent gets
// no more memory, in a backup and in a restore, and dies: no backup is listed, the
// error says where to look, the site is what it was, and nothing is left over. Then
// it gets what it wants, which is bounded: no row is held in a dump, two copies of
// the longest statement are in an import.
func TestLargeRowsAndNoMemory(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	statement := s.largeRows()
	s.waitFor("1s")
	s.starve(s.onDB)
	s.refused(5, []string{"db1"}, "backup", siteName)
	s.hasStarved(s.onDB)
	if list := s.backups(); len(list) != 0 {
		t.Errorf("after a dump without memory are listed: %+v", list)
	}
	s.storeIsListed()
	id := s.backup()
	if peak := s.peak(s.onDB); peak > 96<<20 {
		t.Errorf("the agent's peak is %d MiB in a dump of rows of 100 MiB", peak>>20)
	}

	s.waitFor("5m")
	s.must(s.db.Exec(t.Context(), "UPDATE "+s.table("wp_film")+" SET a = 'x', b = 'y'"))
	before, inventory, database := s.fingerprint(), s.inventory(), s.site.Database
	s.starve(s.onDB)
	task := s.ok("restore", siteName, id, "--db-only", "--yes", "--grace", "0s", "--detach")
	eventually(t, "the agent's end", func() error {
		if s.onDB.Alive() {
			return fmt.Errorf("it lives")
		}
		return nil
	})
	s.isNow(before)
	s.hasStarved(s.onDB)
	if end := s.ended(task); !end.good() { // it died while all was only looked at
		if end.State != "failed" || !strings.Contains(end.Error, "db1") {
			t.Errorf("with memory again the restore ended as %s: %s", end.State, end.Error)
		}
		s.isNow(before)
		s.ok("restore", siteName, id, "--db-only", "--yes", "--grace", "0s")
	}
	s.nothingLeft(inventory, database)
	if peak := s.peak(s.onDB); peak > 2*statement+96<<20 {
		t.Errorf("the agent's peak is %d MiB in an import of statements of %d MiB", peak>>20, statement>>20)
	}
	s.settle()
	if n := s.largeRowsThere(); n != 2 {
		t.Errorf("%d of 2 large rows came back", n)
	}
}

// largeBlob has 100 MiB and bytes that are escaped; largeText has 100 MB of UTF-8.
const (
	largeBlob = "REPEAT(UNHEX('00FF2741424344454647485C505152C3'), 6553600)"
	largeText = "REPEAT('it''s a long one, with ä.', 3703704)"
)

// largeRows puts two rows into a table of the site, and returns about how long, in bytes, the longer one's INSERT is. The
// server takes long packets from new connections only.
func (s *stage) largeRows() int64 {
	s.t.Helper()
	s.must(s.db.Exec(s.t.Context(), "SET GLOBAL max_allowed_packet = 256 << 20"))
	db := bed.Must(s.db.OpenAs("unix", s.db.Socket, "root", s.db.Password, s.site.Database))(s.t)
	defer func() { s.must(db.Close()) }()
	for _, q := range []string{
		"CREATE TABLE wp_film (id int PRIMARY KEY, a longblob, b longtext)",
		"INSERT INTO wp_film VALUES (1, " + largeBlob + ", NULL), (2, NULL, " + largeText + ")",
	} {
		if _, err := db.ExecContext(s.t.Context(), q); err != nil {
			s.t.Fatal(err)
		}
	}
	const escaped = 3 // of 16 bytes of largeBlob
	return 6553600 * (16 + escaped)
}

// largeRowsThere counts those that are what they were.
func (s *stage) largeRowsThere() (n int) {
	s.t.Helper()
	db := bed.Must(s.db.OpenAs("unix", s.db.Socket, "root", s.db.Password, s.site.Database))(s.t)
	defer func() { s.must(db.Close()) }()
	q := "SELECT COUNT(*) FROM wp_film WHERE a = " + largeBlob + " AND b IS NULL OR BINARY b = " + largeText + " AND a IS NULL"
	s.must(db.QueryRowContext(s.t.Context(), q).Scan(&n))
	return n
}

// table is the name of one of the site's tables.
func (s *stage) table(name string) string { return bed.Ident(s.site.Database) + "." + name }

// waitFor has the master wait so long for a connection that broke.
func (s *stage) waitFor(wait string) {
	s.t.Helper()
	s.must(s.master.Stop())
	path := filepath.Join(s.master.DataDir, "master.yaml")
	settings := map[string]any{}
	s.must(yaml.Unmarshal(bed.Must(os.ReadFile(path))(s.t), &settings))
	limits, _ := settings["limits"].(map[string]any)
	if limits == nil {
		limits = map[string]any{}
	}
	limits["retry_for"] = wait
	settings["limits"] = limits
	s.must(os.WriteFile(path, bed.Must(yaml.Marshal(settings))(s.t), 0o600))
	s.must(s.master.Start(s.t.Context()))
}

// starve lets a process have no more memory than it has now (RLIMIT_DATA).
func (s *stage) starve(p *bed.Agent) {
	s.t.Helper()
	has := uint64(s.status(p, "VmData:"))
	s.must(unix.Prlimit(p.Pid(), unix.RLIMIT_DATA, &unix.Rlimit{Cur: has, Max: has}, nil))
}

// noMemory is how Go's runtime ends then; ENOMEM is 12.
var noMemory = regexp.MustCompile(`out of memory|cannot allocate memory|errno=12`)

// hasStarved fails the test unless the process has died of that, and starts it again.
func (s *stage) hasStarved(p *bed.Agent) {
	s.t.Helper()
	if p.Alive() {
		s.t.Fatal("the agent lives")
	}
	if _, said, ok := strings.Cut(p.Log(), "fatal error: "); !ok || !noMemory.MatchString(said) {
		s.t.Fatalf("the agent did not run out of memory: %.2000s", said)
	}
	s.must(p.Start(s.t.Context()))
}

// peak is the largest resident set that a process has had, in bytes.
func (s *stage) peak(p *bed.Agent) int64 {
	s.t.Helper()
	peak := s.status(p, "VmHWM:")
	s.t.Logf("%s: at most %d MiB", p.Name(), peak>>20)
	return peak
}

// status reads a size of /proc/PID/status (proc_pid_status(5)), in bytes.
func (s *stage) status(p *bed.Agent, key string) int64 {
	s.t.Helper()
	text := string(bed.Must(os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid())))(s.t))
	var kib int64
	if _, rest, ok := strings.Cut(text, key); ok {
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			s.t.Fatal(err)
		}
	}
	if kib == 0 {
		s.t.Fatalf("process %d has no %s", p.Pid(), key)
	}
	return kib << 10
}
