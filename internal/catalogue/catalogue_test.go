package catalogue_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

func TestFilesAreForTheOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := must(catalogue.Open(t.Context(), filepath.Join(dir, "catalogue.db")))(t)
	defer c.Close()
	ok(t, c.AddAudit(t.Context(), catalogue.AuditEntry{Time: epoch}))
	entries := must(os.ReadDir(dir))(t)
	if len(entries) < 3 {
		t.Fatalf("expected the file, its log and its index, found %v", entries)
	}
	for _, e := range entries {
		if mode := must(e.Info())(t).Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", e.Name(), mode)
		}
	}
	if mode := must(os.Stat(dir))(t).Mode().Perm(); mode != 0o700 {
		t.Errorf("the directory has mode %o", mode)
	}
}

func TestWideModeIsNarrowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	ok(t, os.WriteFile(path, nil, 0o644))
	ok(t, must(catalogue.Open(t.Context(), path))(t).Close())
	if mode := must(os.Stat(path))(t).Mode().Perm(); mode != 0o600 {
		t.Fatalf("mode %o", mode)
	}
}

func TestEverythingSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	for i := range 3 {
		c := must(catalogue.Open(t.Context(), path))(t)
		addServers(t, c, fmt.Sprintf("web%d", i))
		if n := len(must(c.Servers(t.Context()))(t)); n != i+1 {
			t.Errorf("after %d openings there are %d servers", i+1, n)
		}
		ok(t, c.Close())
	}
}

func TestGarbageIsCorrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	ok(t, os.WriteFile(path, []byte("this is no database, and long enough to be looked at: "+string(make([]byte, 4096))), 0o600))
	_, err := catalogue.Open(t.Context(), path)
	wants(t, err, errs.Corrupt)
	if errs.HintOf(err) == "" {
		t.Fatal("no hint")
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	c := withSites(t, site("a.example"))
	boom := errors.New("boom")
	err := c.Update(t.Context(), func(ctx context.Context, tx *catalogue.Tx) error {
		if err := tx.CreateSite(ctx, site("b.example")); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	_, err = c.Site(t.Context(), "b.example")
	wants(t, err, errs.NotFound)
}

func TestACancelledCallerWritesNothing(t *testing.T) {
	c := withSites(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wants(t, c.CreateSite(ctx, site("a.example")), errs.Cancelled)
	_, err := c.Site(t.Context(), "a.example")
	wants(t, err, errs.NotFound)
}

func TestACancelInTheMiddleDoesNotTearATransaction(t *testing.T) {
	c := withSites(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Update(ctx, func(ctx context.Context, tx *catalogue.Tx) error {
		cancel()
		return tx.CreateSite(ctx, site("a.example"))
	})
	ok(t, err)
	must(c.Site(t.Context(), "a.example"))(t)
}

// TestJournalSurvivesAKill kills a process that writes a journal and counts
// aloud: every record that it counted must be there, and none may be torn.
func TestJournalSurvivesAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "CATALOGUE_JOURNAL="+path)
	out := must(child.StdoutPipe())(t)
	ok(t, child.Start())
	counted := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		counted = must(strconv.Atoi(lines.Text()))(t)
		if counted == 300 {
			ok(t, child.Process.Kill())
		}
	}
	_ = child.Wait() // it was killed
	if counted < 300 {
		t.Fatalf("the child ended by itself after %d records", counted)
	}
	c := must(catalogue.Open(t.Context(), path))(t)
	defer c.Close()
	records := must(c.JournalRecords(t.Context(), "task"))(t)
	if len(records) < counted {
		t.Fatalf("%d records were acknowledged and %d are there", counted, len(records))
	}
	for i, r := range records {
		if string(r) != strconv.Itoa(i+1) {
			t.Fatalf("record %d is %q", i+1, r)
		}
	}
}

func TestMain(m *testing.M) {
	if path := os.Getenv("CATALOGUE_JOURNAL"); path != "" {
		writeJournal(path)
	}
	os.Exit(m.Run())
}

func writeJournal(path string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := catalogue.Open(ctx, path)
	for n := 1; err == nil; n++ {
		if err = c.AppendJournal(ctx, "task", []byte(strconv.Itoa(n))); err == nil {
			fmt.Println(n)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestAuditLog(t *testing.T) {
	c := open(t)
	var want []catalogue.AuditEntry
	for i := range 25 {
		e := catalogue.AuditEntry{Time: epoch.Add(time.Duration(i) * time.Second), Who: "root", Role: "admin", Method: "CreateSite", Subject: fmt.Sprint(i), Outcome: "ok"}
		ok(t, c.AddAudit(t.Context(), e))
		want = append([]catalogue.AuditEntry{e}, want...)
	}
	var got []catalogue.AuditEntry
	for after, first := "", true; first || after != ""; first = false {
		page, next, err := c.Audit(t.Context(), 10, after)
		ok(t, err)
		got, after = append(got, page...), next
	}
	same(t, got, want)
	ok(t, c.PurgeAudit(t.Context(), epoch.Add(20*time.Second)))
	page, _, err := c.Audit(t.Context(), 0, "")
	ok(t, err)
	same(t, page, want[:5])
	_, _, err = c.Audit(t.Context(), 0, "nonsense")
	wants(t, err, errs.Usage)
}

func TestGraces(t *testing.T) {
	c := withSites(t, site("a.example"))
	one := catalogue.Grace{TaskID: "t1", Site: "a.example", Due: epoch.Add(time.Hour), State: catalogue.GraceWaiting, Memo: []byte(`{}`)}
	add := func(ctx context.Context, tx *catalogue.Tx) error { return tx.AddGrace(ctx, one) }
	ok(t, c.Update(t.Context(), add))
	wants(t, c.Update(t.Context(), add), errs.Exists)
	same(t, must(c.Grace(t.Context(), "t1"))(t), one)
	if due := must(c.DueGraces(t.Context(), epoch))(t); len(due) != 0 {
		t.Fatalf("due too early: %v", due)
	}
	same(t, must(c.DueGraces(t.Context(), one.Due))(t), []catalogue.Grace{one})
	same(t, must(c.OpenGraces(t.Context(), ""))(t), []catalogue.Grace{one})

	moved := 0
	for range 2 {
		if must(c.MoveGrace(t.Context(), "t1", catalogue.GraceWaiting, catalogue.GraceEnding))(t) {
			moved++
		}
	}
	if moved != 1 {
		t.Fatalf("moved %d times", moved)
	}
	if due := must(c.DueGraces(t.Context(), one.Due))(t); len(due) != 0 {
		t.Fatalf("due although it is being ended: %v", due)
	}
	must(c.MoveGrace(t.Context(), "t1", catalogue.GraceEnding, catalogue.GraceUndone))(t)
	if left := must(c.OpenGraces(t.Context(), "a.example"))(t); len(left) != 0 {
		t.Fatalf("still open: %v", left)
	}
	_, err := c.Grace(t.Context(), "t2")
	wants(t, err, errs.NotFound)
}

func TestCommitRestoreIsOneTransaction(t *testing.T) {
	a := site("a.example")
	c := withSites(t, a)
	fresh := model.Database{Name: "new", User: "new", Host: "db1"}
	r := catalogue.RestoreCommit{TaskID: "t1", Site: a.Name, Old: model.Database{Name: "wrong"}, New: fresh, Record: []byte("committed"),
		Grace: &catalogue.Grace{TaskID: "t1", Site: a.Name, Due: epoch, State: catalogue.GraceWaiting}}
	wants(t, c.CommitRestore(t.Context(), r), errs.Precondition)
	r.Old = a.Database
	boom := errors.New("boom")
	if err := c.CommitRestore(t.Context(), r, func(context.Context, *catalogue.Tx) error { return boom }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	same(t, must(c.Site(t.Context(), a.Name))(t), a)
	if n := len(must(c.JournalRecords(t.Context(), "t1"))(t)); n != 0 {
		t.Fatalf("%d records of a commit that failed", n)
	}
	if n := len(must(c.OpenGraces(t.Context(), ""))(t)); n != 0 {
		t.Fatalf("%d grace times of a commit that failed", n)
	}
	ok(t, c.CommitRestore(t.Context(), r))
	same(t, must(c.Site(t.Context(), a.Name))(t).Database, fresh)
	same(t, must(c.JournalRecords(t.Context(), "t1"))(t), [][]byte{[]byte("committed")})
	same(t, must(c.Grace(t.Context(), "t1"))(t), *r.Grace)
}

func TestJournalWithFurtherChanges(t *testing.T) {
	a := site("a.example")
	c := withSites(t, a)
	ok(t, c.AppendJournal(t.Context(), "t1", []byte("one")))
	bad := func(ctx context.Context, tx *catalogue.Tx) error {
		return tx.SetSiteDatabase(ctx, a.Name, model.Database{}, model.Database{})
	}
	wants(t, c.AppendJournal(t.Context(), "t1", []byte("two"), bad), errs.Precondition)
	ok(t, c.AppendJournal(t.Context(), "t2", []byte("other")))
	ok(t, c.AppendJournal(t.Context(), "t1", []byte("three")))
	same(t, must(c.JournalRecords(t.Context(), "t1"))(t), [][]byte{[]byte("one"), []byte("three")})
}
