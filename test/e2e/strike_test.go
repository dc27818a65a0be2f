//go:build integration

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

// strike is one fault in the middle of a restore.
type strike struct {
	victim string        // master, web1, db1 (agents), or mariadb
	after  string        // the log line that it waits for, by its beginning; "" for the task's start
	later  time.Duration // after that
}

func (k strike) String() string {
	return fmt.Sprintf("%s %v after %q", k.victim, k.later.Round(time.Millisecond), k.after)
}

// arena is a stage on which one restore after the other is struck.
type arena struct {
	*stage
	backup string
	good   *bed.Fingerprint // what the backup holds
	now    *bed.Fingerprint // what the site is
	round  int
	ended  map[string]int // how often the site came out as what
}

func newArena(t *testing.T) *arena {
	t.Helper()
	a := &arena{stage: newStage(t), ended: map[string]int{}}
	a.good = a.fingerprint()
	a.backup = a.stage.backup()
	return a
}

// begin changes the site, unless it is a changed one, and starts a restore.
func (a *arena) begin() (task string, inventory *bed.Inventory) {
	a.t.Helper()
	if a.round++; a.now == nil {
		a.change(a.round)
		a.now = a.fingerprint()
	}
	a.settle()
	inventory = a.inventory()
	return a.ok("restore", siteName, a.backup, "--yes", "--grace", "0s", "--detach"), inventory
}

// judge waits for the end, which comes by itself, and wants a site that is
// wholly the old one or the new one, whichever the task says, and nothing else
// on the servers.
func (a *arena) judge(task string, inventory *bed.Inventory) taskInfo {
	a.t.Helper()
	end, database := a.finalOf(task), a.site.Database
	want := a.now
	if end.good() {
		want = a.good
	}
	a.isNow(want)
	a.nothingLeft(inventory, database)
	a.tellsTheTruth(end)
	a.storeIsListed()
	a.ended[end.State]++
	if end.good() {
		a.now = nil
	}
	if a.t.Failed() {
		a.t.Fatalf("the log of the task:\n%s", a.ok("task", "log", task))
	}
	return end
}

func (a *arena) finalOf(task string) taskInfo { a.t.Helper(); return a.stage.ended(task) }

// tellsTheTruth wants an error of a task that failed and none of another, the
// inventory to have the site's credentials, and the safety backup that the log
// names to be listed.
func (a *arena) tellsTheTruth(task taskInfo) {
	a.t.Helper()
	if task.State == "needs_operator" || task.good() != (task.Error == "") {
		a.t.Errorf("task %s is %s with the error %q", task.ID, task.State, task.Error)
	}
	recorded := read[struct {
		Database string `json:"database"`
		User     string `json:"database_user"`
	}](a.stage, "site", "show", siteName)
	a.settle()
	if recorded.Database != a.site.Database || recorded.User != a.site.User {
		a.t.Errorf("the inventory says %+v, the site uses %s as %s", recorded, a.site.Database, a.site.User)
	}
	for _, said := range safetyLine.FindAllStringSubmatch(a.ok("task", "log", task.ID), -1) {
		if !a.listed(said[1]) {
			a.t.Errorf("the safety backup %s was taken and is not listed", said[1])
		}
	}
}

var safetyLine = regexp.MustCompile(` safety backup (\S+) \(`)

func (a *arena) listed(id string) bool {
	for _, b := range a.backups() {
		if b.ID == id {
			return true
		}
	}
	return false
}

// play strikes one restore and judges what comes of it.
func (a *arena) play(k strike) taskInfo {
	a.t.Helper()
	began := time.Now()
	task, inventory := a.begin()
	a.awaitLine(task, k.after)
	time.Sleep(k.later)
	victim := a.process(k.victim)
	a.must(victim.Kill())
	a.must(victim.Start(a.t.Context()))
	end := a.judge(task, inventory)
	a.t.Logf("killed %s: %s after %.1f s", k, end.State, time.Since(began).Seconds())
	return end
}

// playTwice kills once more while the first fault is being mended.
func (a *arena) playTwice(k strike) {
	a.t.Helper()
	task, inventory := a.begin()
	a.awaitLine(task, k.after)
	victim := a.process(k.victim)
	for _, wait := range []time.Duration{0, soon(500 * time.Millisecond)} {
		time.Sleep(wait)
		a.must(victim.Kill())
		a.must(victim.Start(a.t.Context()))
	}
	a.t.Logf("killed %s, and again: %s", k, a.judge(task, inventory).State)
}

func (a *arena) process(name string) *bed.Process {
	return map[string]*bed.Process{
		"master": a.master.Process, "web1": a.onWeb.Process, "db1": a.onDB.Process, "mariadb": a.db.Process,
	}[name]
}

// steps are the lines after which a restore is at another point of its plan.
func steps() []string {
	var lines []string
	for _, step := range []string{
		"check_everything", "create_database", "import_dump", "push_files", "retire_database", "write_settings",
		"begin_maintenance", "safety_backup", "exchange_trees", "write_vhost", "verify_site", "end_maintenance",
	} {
		lines = append(lines, step+": done")
	}
	return append(lines, "clean up retire_database: done")
}

// soon is a random moment of at most so long.
func soon(most time.Duration) time.Duration { return rand.N(most) }

// TestMasterDiesDuringRestores kills the master at every step of a restore and
// at moments of chance.
func TestMasterDiesDuringRestores(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	for _, line := range steps() {
		a.play(strike{"master", line, soon(15 * time.Millisecond)})
	}
	for range 3 {
		a.play(strike{"master", "", soon(3 * time.Second)})
	}
	a.playTwice(strike{"master", "verify_site: done", 0})
	a.playTwice(strike{"master", "end_maintenance: done", 0})
	a.bothEnds()
	a.ok("check", "--all")
}

// bothEnds wants strikes to have found restores before and after their commit.
func (a *arena) bothEnds() {
	a.t.Helper()
	if a.ended["failed"] == 0 || a.ended["succeeded"]+a.ended["warning"] == 0 {
		a.t.Errorf("all strikes met the same half of a restore: %v", a.ended)
	}
}

// TestMasterStopsDuringRestores ends the master in good order, as an upgrade
// does: with its agents at hand, and with all of them away, when it must not
// wait for them.
func TestMasterStopsDuringRestores(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	for _, line := range []string{"create_database: done", "begin_maintenance: done", "exchange_trees: done", "end_maintenance: done"} {
		for _, away := range []bool{false, true} {
			task, inventory := a.begin()
			a.awaitLine(task, line)
			a.outage(away)
			end := a.judge(task, inventory)
			t.Logf("stopped after %q, agents away %t: %s", line, away, end.State)
		}
	}
}

func (a *arena) outage(agentsToo bool) {
	a.t.Helper()
	processes := []*bed.Process{a.master.Process}
	if agentsToo {
		processes = []*bed.Process{a.onWeb.Process, a.onDB.Process, a.master.Process}
	}
	for _, p := range processes {
		if p == a.master.Process {
			a.must(p.Stop())
		} else {
			a.must(p.Kill())
		}
	}
	for _, p := range processes {
		a.must(p.Start(a.t.Context()))
	}
}

// TestAgentsDieDuringRestores kills agents, and the database server, at work.
func TestAgentsDieDuringRestores(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	for _, k := range []strike{
		{"web1", "create_database: done", soon(300 * time.Millisecond)},
		{"web1", "write_settings: done", soon(15 * time.Millisecond)},
		{"web1", "begin_maintenance: done", soon(300 * time.Millisecond)},
		{"web1", "safety_backup: done", soon(15 * time.Millisecond)},
		{"web1", "exchange_trees: done", soon(15 * time.Millisecond)},
		{"web1", "write_vhost: done", soon(50 * time.Millisecond)},
		{"web1", "end_maintenance: done", soon(50 * time.Millisecond)},
		{"db1", "check_everything: done", soon(15 * time.Millisecond)},
		{"db1", "create_database: done", soon(300 * time.Millisecond)},
		{"db1", "begin_maintenance: done", soon(300 * time.Millisecond)},
		{"db1", "end_maintenance: done", soon(15 * time.Millisecond)},
		{"mariadb", "create_database: done", soon(200 * time.Millisecond)},
		{"mariadb", "create_database: done", soon(200 * time.Millisecond)},
	} {
		a.play(k)
	}
}

// TestCancel asks a restore to end at several of its moments.
func TestCancel(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	for _, line := range []string{
		"", "create_database: done", "write_settings: done", "begin_maintenance: done", "exchange_trees: done", "verify_site: done",
	} {
		task, inventory := a.begin()
		a.awaitLine(task, line)
		r := a.CLI(a.master, "task", "cancel", task)
		end := a.judge(task, inventory)
		t.Logf("cancelled after %q: exit status %d, %s", line, r.Code, end.State)
		if r.Code == 0 && end.State != "cancelled" && !end.good() {
			t.Errorf("cancelled after %q, and it is %s: %s", line, end.State, end.Error)
		}
	}
	if a.ended["cancelled"] < 3 {
		t.Errorf("few restores could be cancelled: %v", a.ended)
	}
	task := a.finalOf(a.ok("backup", siteName, "--detach"))
	a.refused(1, []string{"has ended"}, "task", "cancel", task.ID)
}
