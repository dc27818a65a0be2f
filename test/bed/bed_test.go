//go:build integration

package bed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

func TestMariaDBServesAndComesBack(t *testing.T) {
	b := bed.New(t)
	db, other := b.MariaDB("db1"), b.MariaDB("db2")
	const password = `p'a\s"s#% ü`
	if err := db.CreateDatabase(t.Context(), "a_b", "u", password); err != nil {
		t.Fatal(err)
	}
	pool := bed.Must(db.OpenAs("tcp", db.Addr.String(), "u", password, "a_b"))(t)
	defer func() { _ = pool.Close() }()
	if _, err := pool.ExecContext(t.Context(), "CREATE TABLE t (a INT) ENGINE=InnoDB"); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.ExecContext(t.Context(), "CREATE DATABASE axb"); err == nil {
		t.Error("the user may make databases of other names")
	}
	var dump bytes.Buffer
	if err := db.Dump(t.Context(), "a_b", &dump); err != nil {
		t.Fatal(err)
	}
	if err := other.Exec(t.Context(), "CREATE DATABASE a_b CHARACTER SET utf8mb4"); err != nil {
		t.Fatal(err)
	}
	if err := other.Import(t.Context(), "a_b", &dump); err != nil {
		t.Fatal(err)
	}
	if err := db.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := db.Root().PingContext(t.Context()); err == nil {
		t.Error("a killed server answers")
	}
	if err := db.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := pool.PingContext(t.Context()); err != nil {
		t.Errorf("after a crash the server does not know its user: %v", err)
	}
	here, there := bed.Must(db.Tables(t.Context(), "a_b"))(t), bed.Must(other.Tables(t.Context(), "a_b"))(t)
	if d := here.Diff(there); d != "" || len(here) != 4 {
		t.Errorf("the copy of %d lines differs:\n%s", len(here), d)
	}
}

func TestRootNeedsItsPassword(t *testing.T) {
	b := bed.New(t)
	db := b.MariaDB("db1")
	for _, c := range []struct {
		network, addr, password string
		lets                    bool
	}{
		{"unix", db.Socket, db.Password, true}, {"tcp", db.Addr.String(), db.Password, true},
		{"unix", db.Socket, "", false}, {"tcp", db.Addr.String(), "", false},
	} {
		pool := bed.Must(db.OpenAs(c.network, c.addr, "root", c.password, ""))(t)
		if err := pool.PingContext(t.Context()); (err == nil) != c.lets {
			t.Errorf("%s, password %t: %v", c.network, c.password != "", err)
		}
		_ = pool.Close()
	}
}

// orphan runs this test's own binary in another role: it starts a bed in dir
// and is killed. It returns the groups of the bed's servers.
func orphan(t *testing.T, dir, role string) []int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestToBeOrphaned$")
	cmd.Env = append(os.Environ(), "BED_TO_BE_ORPHANED="+dir, "BED_ROLE="+role)
	out := bed.Must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pids := make([]int, 3)
	if _, err := fmt.Fscanf(out, "pids %d %d %d\n", &pids[0], &pids[1], &pids[2]); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return pids
}

// TestToBeOrphaned is the other role; by itself it only sees that a bed starts.
func TestToBeOrphaned(t *testing.T) {
	dir := os.Getenv("BED_TO_BE_ORPHANED")
	alone := dir == ""
	if alone {
		dir = filepath.Join(bed.New(t).Dir(), "inner")
	}
	b := bed.Must(bed.Start(t.Context(), dir, nil))(t)
	db, web := bed.Must(b.MariaDB(t.Context(), "db1"))(t), bed.Must(b.Web(t.Context(), "web1"))(t)
	if alone {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if os.Getenv("BED_ROLE") == "leave running" {
		if _, err := b.LeaveRunning(); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Printf("pids %d %d %d\n", db.Pid(), web.Nginx.Pid(), web.PHP.Pid())
	time.Sleep(time.Minute)
}

func TestNothingOutlivesItsParent(t *testing.T) {
	waitGone(t, orphan(t, filepath.Join(bed.New(t).Dir(), "inner"), ""))
}

func TestLeaveRunning(t *testing.T) {
	dir := filepath.Join(bed.New(t).Dir(), "inner")
	pids := orphan(t, dir, "leave running")
	time.Sleep(300 * time.Millisecond) // a guard that kills would have done it
	for _, pid := range pids {
		if !groupLives(pid) {
			t.Errorf("process group %d did not outlive its parent", pid)
		}
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "stop")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	waitGone(t, pids)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is left: %v", err)
	}
}

func waitGone(t *testing.T, groups []int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, group := range groups {
		for groupLives(group) {
			if time.Now().After(deadline) {
				t.Fatalf("process group %d still runs", group)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// groupLives says whether a process group has a member that is no zombie.
func groupLives(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// Fields after the command in parentheses: state, parent, group.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if fields[2] == strconv.Itoa(group) && fields[0] != "Z" {
			return true
		}
	}
	return false
}

func TestCloseEndsAllChildren(t *testing.T) {
	b := bed.Must(bed.Start(t.Context(), filepath.Join(bed.New(t).Dir(), "inner"), nil))(t)
	web := bed.Must(b.Web(t.Context(), "web1"))(t)
	nginx, php := web.Nginx.Pid(), web.PHP.Pid()
	if !groupLives(nginx) || !groupLives(php) {
		t.Fatal("nothing runs")
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if groupLives(nginx) || groupLives(php) || web.Nginx.Alive() {
		t.Error("children outlive the bed")
	}
}

// TestStopEndsWhatALeaderLeaves has a leader that ends in good order and leaves
// a child in its group.
func TestStopEndsWhatALeaderLeaves(t *testing.T) {
	b := bed.New(t)
	p := bed.Must(b.Run(t.Context(), bed.Service{
		Name: "parent", Argv: []string{"/bin/sh", "-c", "(trap '' TERM; echo up; sleep 300) & trap 'exit 0' TERM; wait"},
		Dir: b.Dir(), Stop: syscall.SIGTERM,
		Ready: func(_ context.Context, p *bed.Process) error {
			if p.Log() != "up\n" {
				return errors.New("it is not up")
			}
			return nil
		},
	}))(t)
	group := p.Pid()
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	waitGone(t, []int{group})
}

func TestBedsRunAtTheSameTime(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			b := bed.New(t)
			s := b.WordPress(b.Web("web1"), b.MariaDB("db1"), fmt.Sprintf("site%d.example.com", i))
			if err := s.CheckPages(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestADirectoryThatNobodyCannotEnter(t *testing.T) {
	closed := filepath.Join(bed.New(t).Dir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := bed.Start(t.Context(), filepath.Join(closed, "bed"), nil); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("got %v, want an error that says what to do", err)
	}
}

func TestSecretsAreFound(t *testing.T) {
	b := bed.New(t)
	inArgs, inEnv, nowhere, late := bed.Secret(), bed.Secret(), bed.Secret(), bed.Secret()
	w := bed.WatchProcesses()
	show := func(cmd *exec.Cmd) {
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
	}
	show(exec.CommandContext(t.Context(), "sleep", "0.3", "0."+strings.Repeat("0", 9)+"1"))
	show(exec.CommandContext(t.Context(), "sh", "-c", "sleep 0.3 #"+inArgs))
	env := exec.CommandContext(t.Context(), "sleep", "0.3")
	env.Env = []string{"PASSWORD=" + inEnv, "PATH=" + os.Getenv("PATH")}
	show(env)
	show(exec.CommandContext(t.Context(), "sh", "-c", "sleep 0.3 #"+late))
	if rounds := w.Stop(); rounds < 10 {
		t.Errorf("all of /proc was read only %d times", rounds)
	}
	if got := w.Find(nowhere); got != nil {
		t.Errorf("found what is not there: %v", got)
	}
	for _, secret := range []string{inArgs, inEnv, late} {
		got := w.Find(secret)
		if len(got) == 0 || strings.Contains(strings.Join(got, ""), secret) {
			t.Errorf("found %v", got)
		}
	}
	testSecretsInFiles(t, b.Dir(), inArgs, nowhere)
}

func testSecretsInFiles(t *testing.T, dir, there, nowhere string) {
	for _, name := range []string{"log.txt", "skipped"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("password="+there+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := bed.Must(bed.FindInFiles([]string{nowhere, there}, []string{"skipped"}, dir))(t)
	if len(got) != 1 || !strings.Contains(got[0], "log.txt") {
		t.Errorf("found %v", got)
	}
	if _, err := bed.FindInFiles([]string{there}, nil, filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing path is no error")
	}
}

func TestProcessOfTheBedFailsWithItsLog(t *testing.T) {
	b := bed.New(t)
	_, err := b.Bed.MariaDB(t.Context(), "db1", "--no-such-option")
	if err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("got %v, want the server's own words", err)
	}
}

func TestSignalsToWhatHasEnded(t *testing.T) {
	b := bed.New(t)
	w := b.Web("web1")
	if err := w.Nginx.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{w.Nginx.Kill(), w.Nginx.Stop(), w.Nginx.Signal(syscall.SIGHUP)} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := w.Nginx.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Nginx.Start(t.Context()); err == nil {
		t.Error("it starts twice")
	}
	if res := bed.Must(w.Get(t.Context(), "unknown.example.com", "/"))(t); res.Status != 404 {
		t.Errorf("status %d", res.Status)
	}
}
