//go:build integration

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestMasterDiesDuringBackups kills the master at moments of chance while it
// makes a backup: what lies in the store afterwards is what is listed, and the
// backup is made all the same.
func TestMasterDiesDuringBackups(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.random(filepath.Join(s.site.Root, "wp-content", "uploads", "film.bin"), 64<<20)
	s.backup()
	begunAgain := 0
	for n := range 6 {
		listed := len(s.backups())
		task := s.ok("backup", siteName, "--full", "--detach")
		wait := soon(600 * time.Millisecond)
		time.Sleep(wait)
		s.must(s.master.Kill())
		s.must(s.master.Start(t.Context()))
		end := s.ended(task)
		t.Logf("%d: killed after %v: %s, backup %s", n, wait.Round(time.Millisecond), end.State, end.Backup)
		if end.Attempt > 1 {
			begunAgain++
		}
		if !end.good() {
			t.Errorf("the backup was not made: %s", end.Error)
		}
		if got := len(s.backups()); got != listed+1 {
			t.Errorf("%d backups are listed, want %d", got, listed+1)
		}
		s.storeIsListed()
	}
	if begunAgain < 2 {
		t.Errorf("only %d backups were struck", begunAgain)
	}
	s.ok("check", "--all")
}

// TestWhatIsNotThere asks for what does not exist, and for what is not allowed.
func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	id := s.backup()
	missing := "garden.example-20200101.000000"
	for _, args := range [][]string{
		{"backup", "no.example"}, {"restore", "no.example", "latest"}, {"restore", "--undo", "no.example"},
		{"backups", "no.example"}, {"site", "show", "no.example"}, {"site", "verify", "no.example"}, {"site", "remove", "no.example"},
		{"restore", siteName, missing}, {"restore", siteName, "nonsense"}, {"ls", missing}, {"cat", missing, "index.php"},
		{"download", missing, "-O", "-"}, {"delete", missing}, {"pin", missing}, {"check", missing},
		{"task", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, {"task", "log", "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		{"task", "log", "-f", "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, {"task", "cancel", "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		{"server", "show", "web9"}, {"server", "check", "web9"}, {"server", "revoke", "web9"},
		{"site", "add", "no.example", "--web", "web9", "--root", s.site.Root},
		{"site", "add", "no.example", "--web", "web1", "--root", filepath.Join(s.web.Root, "nowhere")},
		{"site", "add", "no.example", "--web", "web1", "--db", "db1", "--database", "nowhere", "--root", s.site.Root},
	} {
		s.refused(3, nil, args...)
	}
	for _, args := range [][]string{
		{"site", "add", "no.example", "--web", "web1", "--root", "/etc"},
		{"site", "add", "no.example", "--web", "web1", "--root", "/root", "--vhost", "external"},
	} {
		s.refused(7, nil, args...)
	}
	s.refused(2, nil, "backup")
	s.refused(2, nil, "restore", siteName)
	s.refused(2, nil, "backup", siteName, "--format", "zip")
	if list := s.backups(); len(list) != 1 || list[0].ID != id {
		t.Errorf("after refusals are listed: %+v", list)
	}
	if sites := read[[]struct{ Name string }](s, "site", "list"); len(sites) != 1 {
		t.Errorf("after refusals there are the sites %+v", sites)
	}
}

// TestWhoIsAway has agents, the database's password, the site's directory and
// the master go missing.
func TestWhoIsAway(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	before, inventory := s.fingerprint(), s.inventory()
	id := s.backup()
	s.agentsAway(id)
	s.wrongPassword()
	if list := s.backups(); len(list) != 1 || list[0].ID != id {
		t.Errorf("after failed backups are listed: %+v", list)
	}
	s.isNow(before)
	s.nothingLeft(inventory, s.site.Database)
	s.rootGoes(id, before, inventory)
	s.must(s.master.Kill())
	for _, args := range [][]string{{"backups"}, {"backup", siteName}, {"restore", siteName, id}, {"task", "list"}} {
		s.refused(5, []string{"sitekeep serve"}, args...)
	}
}

func (s *stage) agentsAway(id string) {
	s.t.Helper()
	s.must(s.onDB.Kill())
	s.refused(5, []string{"db1"}, "server", "check", "db1")
	s.refused(5, []string{"db1"}, "backup", siteName)
	s.must(s.onDB.Start(s.t.Context()))
	s.must(s.onWeb.Kill())
	s.refused(5, []string{"web1"}, "site", "add", "other.example", "--web", "web1", "--root", s.site.Root)
	s.refused(5, []string{"web1"}, "restore", siteName, id, "--yes")
	s.must(s.onWeb.Start(s.t.Context()))
	s.done("server", "check", "web1")
	s.done("server", "check", "db1")
}

// wrongPassword is the database server's, in the agent's file.
func (s *stage) wrongPassword() {
	s.t.Helper()
	file := s.onDB.Config.MySQL.PasswordFile
	wrong := bed.Secret()
	s.must(os.WriteFile(file, []byte(wrong+"\n"), 0o600))
	s.restart(s.onDB.Process)
	r := s.refused(1, []string{"db1"}, "backup", siteName)
	if strings.Contains(r.Stderr, wrong) {
		s.t.Error("the error shows the password")
	}
	if r := s.CLI(s.master, "server", "check", "db1"); r.Code != 6 {
		s.t.Errorf("server check with a wrong password: %s", r)
	}
	s.must(os.WriteFile(file, []byte(s.db.Password+"\n"), 0o600))
	s.restart(s.onDB.Process)
}

func (s *stage) restart(p *bed.Process) {
	s.t.Helper()
	s.must(p.Stop())
	s.must(p.Start(s.t.Context()))
}

// rootGoes loses the site's directory: no backup can be made of it any more,
// and a restore makes it anew.
func (s *stage) rootGoes(id string, before *bed.Fingerprint, inventory *bed.Inventory) {
	s.t.Helper()
	database := s.site.Database
	s.must(os.RemoveAll(s.site.Root))
	s.refused(3, []string{s.site.Root}, "backup", siteName)
	if list := s.backups(); len(list) != 1 {
		s.t.Errorf("a backup without a site is listed: %+v", list)
	}
	s.done("restore", siteName, id, "--yes", "--grace", "0s")
	s.isNow(before)
	s.nothingLeft(inventory, database)
}

// TestTwoTasksOnOneSite keeps the second one out, or lets it wait its turn.
func TestTwoTasksOnOneSite(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	id := s.backup()
	first := s.ok("restore", siteName, id, "--yes", "--detach")
	s.refused(4, []string{siteName, first}, "backup", siteName)
	s.refused(4, []string{siteName, first}, "restore", siteName, id, "--yes")
	s.refused(4, []string{siteName, first}, "site", "verify", siteName)
	second := s.ok("backup", siteName, "--queue", "--detach")
	third := s.backup("--queue", "-m", "the last in the queue")
	type times struct {
		State    string    `json:"state"`
		Started  time.Time `json:"started_at"`
		Finished time.Time `json:"finished_at"`
	}
	a, b := read[times](s, "task", "show", first), read[times](s, "task", "show", second)
	if b.Started.Before(a.Finished) || a.State == "failed" || b.State == "failed" {
		t.Errorf("the first ran until %v (%s), the second from %v (%s)", a.Finished, a.State, b.Started, b.State)
	}
	if list := s.backups(); list[0].ID != third || list[0].Description != "the last in the queue" {
		t.Errorf("the newest backup is %+v", list[0])
	}
}

// TestFullStore fills the file system that the master's data lies on.
func TestFullStore(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.must(s.master.Stop())
	s.onSmallDisk(s.master.DataDir, "48m", 0, 0)
	s.setReserve(1 << 30)
	s.must(s.master.Start(t.Context()))
	s.refused(1, []string{"reserve"}, "backup", siteName)

	s.must(s.master.Stop())
	s.setReserve(0)
	s.must(s.master.Start(t.Context()))
	first := s.backup()
	big := filepath.Join(s.site.Root, "wp-content", "uploads", "big.bin")
	s.random(big, 40<<20)
	s.refused(1, []string{"space"}, "backup", siteName)
	if list := s.backups(); len(list) != 1 || list[0].ID != first {
		t.Errorf("with a full disk are listed: %+v", list)
	}
	s.storeIsListed()
	s.ok("check", "--all")
	s.must(os.Remove(big))
	s.backup()
	s.storeIsListed()
	s.ok("check", "--all")
}

// onSmallDisk moves a directory onto a small file system of its own, under the
// same path, until the end of the test.
func (s *stage) onSmallDisk(dir, size string, uid, gid int) {
	s.t.Helper()
	s.must(s.OnTmpfs(s.t.Context(), dir, "size="+size, uid, gid))
}

// setReserve writes how many bytes the master leaves free.
func (s *stage) setReserve(bytes int64) {
	s.t.Helper()
	path := filepath.Join(s.master.DataDir, "master.yaml")
	settings := map[string]any{}
	s.must(yaml.Unmarshal(bed.Must(os.ReadFile(path))(s.t), &settings))
	settings["reserve_bytes"] = bytes
	s.must(os.WriteFile(path, bed.Must(yaml.Marshal(settings))(s.t), 0o600))
}

// random writes a file that does not compress.
func (s *stage) random(path string, bytes int64) {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "dd", "if=/dev/urandom", "of="+path, "bs=1M",
		fmt.Sprintf("count=%d", bytes>>20), "status=none").CombinedOutput()
	if err != nil {
		s.t.Fatalf("dd: %v: %s", err, out)
	}
}

// TestFullWebServer has no room for the staging directory beside the site.
func TestFullWebServer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.onSmallDisk(s.web.Root, "105m", bed.Nobody, bed.Nogroup)
	before, inventory := s.fingerprint(), s.inventory()
	id := s.backup()
	s.refused(1, []string{"free"}, "restore", siteName, id, "--yes")
	s.isNow(before)
	s.nothingLeft(inventory, s.site.Database)
	if list := s.backups(); len(list) != 1 {
		t.Errorf("a restore that was refused in the check has made a backup: %+v", list)
	}
}

// TestHalfADump has the dump program die half way, in two ways, one of which
// says that all went well.
func TestHalfADump(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	bin := filepath.Join(s.Dir(), "bin")
	s.must(os.Mkdir(bin, 0o755))
	s.onDB.Config.MySQL.Dump.Engine = "client"
	s.must(s.onDB.WriteConfig())
	s.must(s.onDB.Stop())
	argv := []string{bed.Must(bed.Build())(t).Agent, "serve", "--data-dir", s.onDB.DataDir}
	agent := bed.Must(s.Run(t.Context(), bed.Service{
		Name: "agent-db1-half", Argv: argv, Dir: s.Dir(), Stop: unix.SIGTERM,
		Env:   []string{"PATH=" + bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Ready: bed.Dialer("tcp", s.onDB.Addr.String()),
	}))(t)
	for _, end := range []string{
		`/usr/bin/mariadb-dump "$@" | head -c 20000; exit 3`,
		`/usr/bin/mariadb-dump "$@" | head -c 20000; exit 0`,
		`/usr/bin/mariadb-dump "$@" | grep -v '^-- Dump completed'; exit 0`,
		`/usr/bin/mariadb-dump "$@" | head -c 20000; kill -9 $$`,
	} {
		script := "#!/bin/sh\ncase \"$*\" in *--version*|*--help*) exec /usr/bin/mariadb-dump \"$@\";; esac\n" + end + "\n"
		s.must(os.WriteFile(filepath.Join(bin, "mariadb-dump"), []byte(script), 0o755))
		s.refused(1, nil, "backup", siteName)
		if list := s.backups(); len(list) != 0 {
			t.Errorf("half a dump (%s) is listed as %+v", end, list)
		}
		s.storeIsListed()
	}
	s.must(os.Remove(filepath.Join(bin, "mariadb-dump")))
	s.restart(agent)
	s.backup()
}
