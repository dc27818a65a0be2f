package catalogue_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

func TestBackupRoundTrip(t *testing.T) {
	c := withSites(t, site("a.example"))
	b := backup("a.example", 1)
	b.Pinned, b.PinReason, b.Warnings, b.Origin = true, "audit", []string{"a file changed", "ü"}, model.OriginSafety
	insert(t, c, b)
	same(t, must(c.Backup(t.Context(), b.ID))(t), b)
	wants(t, c.InsertBackup(t.Context(), b), errs.Exists)
	_, err := c.Backup(t.Context(), "nothing")
	wants(t, err, errs.NotFound)
	if !must(c.HasBackup(t.Context(), b.ID))(t) || must(c.HasBackup(t.Context(), "nothing"))(t) {
		t.Fatal("HasBackup is wrong")
	}
}

func TestUpsertKeepsWhatOnlyTheCatalogueKnows(t *testing.T) {
	c := open(t)
	b := backup("a.example", 1)
	ok(t, c.UpsertBackup(t.Context(), b))
	yes, reason, text := true, "keep", "described later"
	must(c.UpdateBackup(t.Context(), b.ID, catalogue.BackupChange{Pinned: &yes, PinReason: &reason, Description: &text}))(t)
	b.Size, b.Digest = 4711, "sha256:11"
	ok(t, c.UpsertBackup(t.Context(), b))
	b.Pinned, b.PinReason, b.Description = true, "keep", text
	same(t, must(c.Backup(t.Context(), b.ID))(t), b)
}

func TestPinsHold(t *testing.T) {
	c := open(t)
	b := backup("a.example", 1)
	insert(t, c, b)
	yes, no, reason := true, false, "audit"
	same(t, must(c.UpdateBackup(t.Context(), b.ID, catalogue.BackupChange{Pinned: &yes, PinReason: &reason}))(t).PinReason, "audit")
	wants(t, c.DeleteBackup(t.Context(), b.ID), errs.Precondition)
	got := must(c.UpdateBackup(t.Context(), b.ID, catalogue.BackupChange{Pinned: &no}))(t)
	same(t, got.Description, b.Description)
	ok(t, c.DeleteBackup(t.Context(), b.ID))
	wants(t, c.DeleteBackup(t.Context(), b.ID), errs.NotFound)
	_, err := c.UpdateBackup(t.Context(), b.ID, catalogue.BackupChange{Pinned: &yes})
	wants(t, err, errs.NotFound)
}

func TestPagesOfBackups(t *testing.T) {
	c := open(t)
	want := map[string][]string{}
	for i := range 30 {
		for _, name := range []string{"a.example", "b.example"} {
			b := backup(name, i/2) // two of a site at the same time: the id decides
			b.ID = model.BackupID(name, b.CreatedAt, i%2)
			insert(t, c, b)
			want[name] = append([]string{b.ID}, want[name]...)
			want[""] = append(want[""], b.ID)
		}
	}
	fresh := 1000
	paged := func(f catalogue.BackupFilter) (got []string) {
		f.Limit = 7
		for first := true; first || f.After != ""; first = false {
			page, next, err := c.Backups(t.Context(), f)
			ok(t, err)
			for _, b := range page {
				got = append(got, b.ID)
			}
			fresh++
			insert(t, c, backup("a.example", fresh)) // one that comes while somebody pages moves nothing
			f.After = next
		}
		return got
	}
	same(t, paged(catalogue.BackupFilter{Site: "b.example"}), want["b.example"])
	got := paged(catalogue.BackupFilter{})
	same(t, missingFrom(got, want[""]), []string(nil))
	newestFirst(t, c)
	_, _, err := c.Backups(t.Context(), catalogue.BackupFilter{After: "nonsense"})
	wants(t, err, errs.Usage)
}

func missingFrom(got, want []string) (missing []string) {
	for _, id := range want {
		if !slices.Contains(got, id) {
			missing = append(missing, id)
		}
	}
	return missing
}

func newestFirst(t *testing.T, c *catalogue.Catalogue) {
	t.Helper()
	var last model.Backup
	n := 0
	for b, err := range c.AllBackups(t.Context(), catalogue.BackupFilter{}) {
		ok(t, err)
		if n > 0 && (b.CreatedAt.After(last.CreatedAt) || b.CreatedAt.Equal(last.CreatedAt) && b.ID >= last.ID) {
			t.Fatalf("%s comes after %s", b.ID, last.ID)
		}
		last = b
		n++
	}
	if n < 60 {
		t.Fatalf("%d backups", n)
	}
}

func TestClientsSeeTheirOwnBackups(t *testing.T) {
	a, b := site("a.example"), site("b.example")
	a.Client, b.Client = "acme", "other"
	c := withSites(t, a, b)
	insert(t, c, backup("a.example", 1), backup("b.example", 2), backup("lost.example", 3))
	count := func(client string) int {
		page, _, err := c.Backups(t.Context(), catalogue.BackupFilter{Client: client})
		ok(t, err)
		return len(page)
	}
	same(t, []int{count("acme"), count("other"), count("")}, []int{1, 1, 3})
	must(c.UpdateSite(t.Context(), "b.example", func(s *model.Site) error { s.Client = "acme"; return nil }))(t)
	lost := site("lost.example")
	lost.Client = "other"
	ok(t, c.CreateSite(t.Context(), lost))
	same(t, []int{count("acme"), count("other")}, []int{2, 1})
	ok(t, c.DeleteSite(t.Context(), "a.example"))
	same(t, count("acme"), 2)
	a.Client = "thief"
	ok(t, c.CreateSite(t.Context(), a))
	same(t, []int{count("acme"), count("thief")}, []int{2, 0})
}

func TestLatestAndBase(t *testing.T) {
	c := open(t)
	_, err := c.LatestBackup(t.Context(), "a.example")
	wants(t, err, errs.NotFound)
	gz := backup("a.example", 2)
	gz.Format = "tar.gz"
	insert(t, c, backup("a.example", 1), gz, backup("a.example", 3), backup("b.example", 9))
	newest := backup("a.example", 3).ID
	same(t, must(c.LatestBackup(t.Context(), "a.example"))(t).ID, newest)
	same(t, must(c.LatestBase(t.Context(), "a.example", "tar.gz"))(t).ID, gz.ID)
	same(t, must(c.LatestBase(t.Context(), "a.example", "tar.zst"))(t).ID, newest)
	ok(t, c.MarkChecked(t.Context(), newest, epoch, "frame 3 is damaged"))
	same(t, must(c.LatestBase(t.Context(), "a.example", "tar.zst"))(t).ID, backup("a.example", 1).ID)
	at, problem, err := c.LastCheck(t.Context(), newest)
	ok(t, err)
	if !at.Equal(epoch) || problem != "frame 3 is damaged" {
		t.Fatalf("%v %q", at, problem)
	}
	ok(t, c.MarkChecked(t.Context(), newest, epoch, ""))
	same(t, must(c.LatestBase(t.Context(), "a.example", "tar.zst"))(t).ID, newest)
	wants(t, c.MarkChecked(t.Context(), "nothing", epoch, ""), errs.NotFound)
	_, _, err = c.LastCheck(t.Context(), "nothing")
	wants(t, err, errs.NotFound)
	_, err = c.LatestBase(t.Context(), "b.example", "tar.gz")
	wants(t, err, errs.NotFound)
}

func TestUsage(t *testing.T) {
	c := open(t)
	for i := range 3 {
		insert(t, c, backup("a.example", i), backup("b.example", 10*i))
	}
	a := catalogue.Usage{Site: "a.example", Count: 3, Size: 3003, NewBytes: 3, Newest: epoch.Add(2 * time.Hour)}
	b := catalogue.Usage{Site: "b.example", Count: 3, Size: 3030, NewBytes: 30, Newest: epoch.Add(20 * time.Hour)}
	same(t, must(c.SiteUsage(t.Context(), "a.example"))(t), a)
	same(t, must(c.SiteUsage(t.Context(), "c.example"))(t), catalogue.Usage{Site: "c.example"})
	a.NewBytes, b.NewBytes = 0, 0
	same(t, must(c.Usages(t.Context()))(t), []catalogue.Usage{a, b})
}

func TestLimitsAreBounded(t *testing.T) {
	c := open(t)
	for i := range 120 {
		ok(t, c.CreateServer(t.Context(), model.Server{Name: fmt.Sprint(i)}))
		insert(t, c, backup("a.example", i))
	}
	page, next, err := c.Backups(t.Context(), catalogue.BackupFilter{})
	ok(t, err)
	if len(page) != 100 || next == "" {
		t.Fatalf("%d backups without a limit", len(page))
	}
}
