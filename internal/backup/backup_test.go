package backup_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

func TestAFullBackup(t *testing.T) {
	r := newRig(t)
	r.agents.Page = model.PageProbe{Status: 301}
	b := r.made()
	if b.Files != 103 || b.Tables != 3 || b.Rows != 4 || b.Size == 0 || b.NewBytes == 0 || b.TaskID != "T1" || b.Pinned || len(b.Warnings) != 0 {
		t.Errorf("backup: %+v", b)
	}
	listed, err := r.book.Backup(t.Context(), b.ID)
	r.must(err)
	if info, err := os.Stat(r.path(b.ID)); err != nil || info.Size() != b.Size || listed.Digest != b.Digest {
		t.Errorf("size %v, listed %+v, %v", info.Size(), listed, err)
	}
	tarball := r.open(b.ID)
	if got := r.content(tarball, "./files/007.php"); !strings.HasPrefix(got, "<?php echo 7;") {
		t.Errorf("content: %.40q", got)
	}
	facts := tarball.Facts()
	if !facts.HasDump || facts.PageStatus != 301 || facts.Digest != b.Digest || len(facts.Tables) != 3 || facts.Tables[0].Rows != 3 ||
		!slices.Equal(facts.Collations, []string{"utf8mb4_general_ci", "utf8mb4_bin"}) || facts.Entries == 0 || facts.DumpBytes == 0 {
		t.Errorf("facts: %+v", facts)
	}
	r.nothing(b.ID)
}

// TestPlainTarHasIt: none of our programs is needed.
func TestPlainTarHasIt(t *testing.T) {
	r := newRig(t)
	b := r.made()
	out := t.TempDir()
	if text, err := exec.Command("tar", "--zstd", "-xf", r.path(b.ID), "-C", out).CombinedOutput(); err != nil || len(text) > 0 {
		t.Fatalf("tar: %v\n%s", err, text)
	}
	sql, err := os.ReadFile(filepath.Join(out, "database.sql"))
	if err != nil || !strings.Contains(string(sql), "INSERT INTO `posts` VALUES ('three')") || !strings.Contains(string(sql), "-- Dump completed") {
		t.Errorf("database.sql: %v\n%s", err, sql)
	}
	want, err := os.ReadFile(filepath.Join(r.agents.Dir, "big.bin"))
	r.must(err)
	if got, err := os.ReadFile(filepath.Join(out, "big.bin")); err != nil || string(got) != string(want) {
		t.Errorf("big.bin differs: %v", err)
	}
}

func TestAnIncrementalBackup(t *testing.T) {
	r := newRig(t)
	first := r.made()
	r.write("files/050.php", "<?php // changed\n")
	second := r.made()
	if second.NewBytes*5 > first.NewBytes || second.Files != first.Files || second.PlainSize >= first.PlainSize {
		t.Errorf("first %+v\nsecond %+v", first, second)
	}
	tarball := r.open(second.ID)
	if r.content(tarball, "./files/050.php") != "<?php // changed\n" || !strings.HasPrefix(r.content(tarball, "./files/051.php"), "<?php echo 51;") {
		t.Error("the second backup has not what is there")
	}
	full := r.made(func(q *backup.Request) { q.Full = true })
	if full.NewBytes != full.Size && full.NewBytes*2 < first.NewBytes {
		t.Errorf("a full one took over: %+v", full)
	}
	r.nothing(first.ID, second.ID, full.ID)
}

// TestWithoutABaseThatCanBeRead: everything is read, and the backup says so.
func TestWithoutABaseThatCanBeRead(t *testing.T) {
	damage := map[string]func(r *rig, id string){
		"its index is damaged": func(r *rig, id string) {
			info, err := os.Stat(r.path(id))
			r.must(err)
			r.flip(id, info.Size()-300)
		},
		"it is gone": func(r *rig, id string) { r.must(os.Remove(r.path(id))) },
		"it is another tarball": func(r *rig, id string) {
			r.write("files/000.php", "other")
			other := r.made(func(q *backup.Request) { q.Full = true })
			r.must(r.book.DeleteBackup(r.Context(), other.ID))
			r.must(os.Rename(r.path(other.ID), r.path(id)))
		},
	}
	for what, do := range damage {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			first := r.made()
			do(r, first.ID)
			second := r.made()
			if second.NewBytes < first.NewBytes*9/10 || !strings.Contains(strings.Join(second.Warnings, "\n"), "everything is read") || !r.log.warned("everything is read") {
				t.Errorf("second: %+v", second)
			}
			if problem := r.check(second.ID); problem != "" {
				t.Errorf("the new backup: %s", problem)
			}
		})
	}
}

// TestABaseMayGoWhileItIsRead: whoever has a file open keeps it.
func TestABaseMayGoWhileItIsRead(t *testing.T) {
	r := newRig(t)
	first := r.made()
	removed := false
	r.agents.Broken = func(call string) error {
		if call == "tree item" && !removed {
			removed = true
			return os.Remove(r.path(first.ID))
		}
		return nil
	}
	second := r.made()
	if !removed || second.NewBytes*5 > first.NewBytes {
		t.Errorf("removed %v, second %+v", removed, second)
	}
	if problem := r.check(second.ID); problem != "" {
		t.Errorf("the new backup: %s", problem)
	}
}

// TestNothingIsListedAndNothingIsLeft whatever breaks, and the kind of the error is that of its cause.
func TestNothingIsListedAndNothingIsLeft(t *testing.T) {
	cut := errs.New(errs.Unreachable, "", "the connection is cut")
	for call, want := range map[string]error{
		"tree": cut, "tree item": cut, "dump": cut, "dump item": errs.New(errs.Failed, "", "table posts is marked as crashed"),
	} {
		t.Run(call, func(t *testing.T) {
			r := newRig(t)
			calls := 0
			r.agents.Broken = func(c string) error {
				if c == call {
					if calls++; calls == 2 || call != "tree item" {
						return want
					}
				}
				return nil
			}
			if _, err := r.make(); !errors.Is(err, want) || errs.KindOf(err) != errs.KindOf(want) || !strings.Contains(err.Error(), "example.com") {
				t.Errorf("error = %v (%v)", err, errs.KindOf(err))
			}
			r.nothing()
		})
	}
}

func TestCancelled(t *testing.T) {
	for _, call := range []string{"tree item", "dump item"} {
		r := newRig(t)
		ctx := r.during(call)
		if _, err := r.maker.Make(ctx, r.request(), r.log); !errs.Is(err, errs.Cancelled) {
			t.Errorf("%s: error = %v", call, err)
		}
		r.nothing()
	}
}

func TestTheRootIsMissing(t *testing.T) {
	r := newRig(t)
	r.agents.Dir += ".gone"
	if _, err := r.make(); !errs.Is(err, errs.NotFound) {
		t.Errorf("error = %v", err)
	}
	r.nothing()
}

func salvage(q *backup.Request) { q.Salvage, q.Origin, q.PinReason = true, model.OriginSafety, "kept" }

// TestSalvage takes what there is of a broken site, and names what there is not.
func TestSalvage(t *testing.T) {
	noRoot := func(r *rig) { r.agents.Dir += ".gone" }
	noDatabase := func(r *rig) {
		r.agents.Broken = func(call string) error {
			if call == "dump" {
				return errs.New(errs.NotFound, "", "there is no database example")
			}
			return nil
		}
	}
	halfDump := func(r *rig) {
		r.agents.Broken = func(call string) error {
			if call == "dump item" {
				return errs.New(errs.Failed, "", "table posts is marked as crashed")
			}
			return nil
		}
	}
	for _, c := range []struct {
		what        string
		breakings   []func(*rig)
		files, dump bool
		warning     string
	}{
		{"no root", []func(*rig){noRoot}, false, true, "cannot be read"},
		{"no database", []func(*rig){noDatabase}, true, false, "there is no database example"},
		{"a dump that breaks off", []func(*rig){halfDump}, true, false, "marked as crashed"},
		{"neither", []func(*rig){noRoot, noDatabase}, false, false, "there is no database example"},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newRig(t)
			for _, f := range c.breakings {
				f(r)
			}
			b := r.made(salvage)
			if (b.Files > 1) != c.files || (b.Tables > 0) != c.dump || !b.Pinned || !strings.Contains(strings.Join(b.Warnings, "\n"), c.warning) {
				t.Errorf("backup: %+v", b)
			}
			if problem := r.check(b.ID); problem != "" {
				t.Error(problem)
			}
			if r.open(b.ID).Facts().HasDump != c.dump {
				t.Error("the manifest says otherwise")
			}
			r.nothing(b.ID)
		})
	}
}

// TestSalvageIsNotForWhatMayComeBack: a database server that is away, a store that is full and a cancelled task are no
// reason for a safety backup without the database.
func TestSalvageIsNotForWhatMayComeBack(t *testing.T) {
	t.Run("away", func(t *testing.T) {
		r := newRig(t)
		r.agents.Broken = func(call string) error {
			if call == "dump item" {
				return errs.New(errs.Unreachable, "", "the agent of db1 has gone")
			}
			return nil
		}
		if b, err := r.make(salvage); !errs.Is(err, errs.Unreachable) {
			t.Errorf("%+v, %v", b, err)
		}
		r.nothing()
	})
	t.Run("cancelled", func(t *testing.T) {
		r := newRig(t)
		ctx := r.during("dump item")
		q := r.request()
		salvage(&q)
		if b, err := r.maker.Make(ctx, q, r.log); !errs.Is(err, errs.Cancelled) {
			t.Errorf("%+v, %v", b, err)
		}
		r.nothing()
	})
	t.Run("full", func(t *testing.T) {
		r := newRig(t)
		r.use(&fullStore{Local: r.shelf})
		if b, err := r.make(salvage); !errs.Is(err, errs.NoSpace) {
			t.Errorf("%+v, %v", b, err)
		}
		r.nothing()
	})
}

func TestAFullStore(t *testing.T) {
	r := newRig(t)
	r.use(&fullStore{Local: r.shelf})
	_, err := r.make()
	if !errs.Is(err, errs.NoSpace) || !errors.Is(err, syscall.ENOSPC) || errs.HintOf(err) == "" {
		t.Errorf("error = %v, hint %q", err, errs.HintOf(err))
	}
	r.nothing()
}

// TestTwoBackupsInOneSecond have names of their own.
func TestTwoBackupsInOneSecond(t *testing.T) {
	r := newRig(t)
	var ids []string
	for range 3 {
		b, err := r.maker.Make(t.Context(), r.request(), r.log)
		r.must(err)
		ids = append(ids, b.ID)
	}
	if want := []string{"example.com-20261123.001336", "example.com-20261123.001336_1", "example.com-20261123.001336_2"}; !slices.Equal(ids, want) {
		t.Errorf("ids = %v", ids)
	}
	r.nothing(ids...)
}

func TestGzip(t *testing.T) {
	r := newRig(t)
	gz := func(q *backup.Request) { q.Format = "tar.gz" }
	first := r.made(gz)
	r.write("files/050.php", "<?php // changed\n")
	second := r.made(gz)
	if second.NewBytes*5 > first.NewBytes || r.content(r.open(second.ID), "./files/050.php") != "<?php // changed\n" {
		t.Errorf("first %+v\nsecond %+v", first, second)
	}
}

// TestTheCatalogueIsTheLastWord: a backup that cannot be listed is not kept either.
func TestTheCatalogueIsTheLastWord(t *testing.T) {
	r := newRig(t)
	b := r.made()
	r.must(r.book.DeleteBackup(t.Context(), b.ID))
	r.must(os.RemoveAll(filepath.Dir(r.path(b.ID))))
	r.must(r.book.InsertBackup(t.Context(), model.Backup{ID: "example.com-20261123.001536", Site: "example.com", CreatedAt: r.now, Format: "tar.zst"}))
	if _, err := r.make(); !errs.Is(err, errs.Exists) {
		t.Errorf("error = %v", err)
	}
	r.must(r.book.DeleteBackup(t.Context(), "example.com-20261123.001536"))
	r.nothing()
}

func TestWarningsAreBounded(t *testing.T) {
	r := newRig(t)
	for i := range 250 {
		sock := filepath.Join(r.agents.Dir, "files", fmt.Sprintf("s%03d", i))
		r.must(syscall.Mkfifo(sock, 0o600))
	}
	b := r.made()
	if len(b.Warnings) != 101 || !strings.Contains(b.Warnings[100], "and 150 more") {
		t.Errorf("%d warnings, the last %q", len(b.Warnings), b.Warnings[len(b.Warnings)-1])
	}
}

func TestThePageOfASiteThatDoesNotAnswer(t *testing.T) {
	r := newRig(t)
	r.agents.Page = model.PageProbe{Problem: "connection refused"}
	if got := r.open(r.made().ID).Facts().PageStatus; got != backup.NoAnswer {
		t.Errorf("page status = %d", got)
	}
	r.agents.Broken = func(call string) error {
		if call == "probe" {
			return errs.New(errs.Precondition, "", "there is no web server")
		}
		return nil
	}
	if got := r.open(r.made().ID).Facts().PageStatus; got != 0 {
		t.Errorf("page status = %d", got)
	}
}
