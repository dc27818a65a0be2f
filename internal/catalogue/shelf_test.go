package catalogue_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/retention"
)

// shelved is a catalogue that changes at random, and lists of its backups that
// were taken on the way.
type shelved struct {
	*catalogue.Catalogue
	r     *rand.Rand
	now   time.Time
	ids   []string
	taken [][][]retention.Backup
	were  [][][]retention.Backup // deep copies of those
}

// change does one thing of all that can happen to backups.
func (s *shelved) change(ctx context.Context) error {
	name := fmt.Sprintf("s%d.example", s.r.IntN(6))
	yes, id := s.r.IntN(2) == 0, "none"
	if len(s.ids) > 0 {
		id = s.ids[s.r.IntN(len(s.ids))]
	}
	switch s.r.IntN(10) {
	case 0:
		s.now = s.now.Add(time.Duration(s.r.Int64N(int64(800*24*time.Hour))) - 400*24*time.Hour) // somebody sets the clock
		return nil
	case 1:
		return s.DeleteBackup(ctx, id)
	case 2:
		return s.PruneBackup(ctx, id)
	case 3:
		_, err := s.UpdateBackup(ctx, id, catalogue.BackupChange{Pinned: &yes})
		return err
	case 4:
		return s.MarkChecked(ctx, id, s.now, []string{"", "a bit is flipped"}[s.r.IntN(2)])
	case 5:
		_, err := s.UpdateSite(ctx, name, func(site *model.Site) error { site.Client = fmt.Sprint("client", s.r.IntN(3)); return nil })
		return err
	case 6:
		b, err := s.Backup(ctx, id)
		if err != nil {
			return err
		}
		b.Site, b.Size = name, s.r.Int64N(1000) // the store says otherwise
		return s.UpsertBackup(ctx, b)
	}
	s.now = s.now.Add(time.Duration(s.r.Int64N(int64(40 * time.Hour))))
	b := backup(name, 0)
	b.ID, b.CreatedAt, b.Size = fmt.Sprintf("%s-%d", name, len(s.ids)), s.now, s.r.Int64N(1000)
	b.Origin = []model.Origin{model.OriginSafety, model.OriginScheduled}[s.r.IntN(2)]
	s.ids = append(s.ids, b.ID)
	return s.InsertBackup(ctx, b)
}

// look takes a list, and compares it with one that is read from scratch.
func (s *shelved) look(ctx context.Context) error {
	kept, err := s.RetentionBackups(ctx)
	if err != nil {
		return err
	}
	fresh, err := s.ReadShelf(ctx)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(fresh, kept); diff != "" {
		return fmt.Errorf("what is remembered is not what is there (-there +remembered)\n%s", diff)
	}
	policy := func(_, _ string) retention.Policy { return retention.Policy{Last: 2, Daily: 3, MinAge: time.Hour} }
	budgets := retention.Budgets{Total: 4000, Standard: 2500}
	if diff := cmp.Diff(retention.Make(s.now, fresh, policy, budgets), retention.Make(s.now, kept, policy, budgets)); diff != "" {
		return fmt.Errorf("another plan\n%s", diff)
	}
	copied := make([][]retention.Backup, len(kept))
	for i := range kept {
		copied[i] = slices.Clone(kept[i])
	}
	s.taken, s.were = append(s.taken, kept), append(s.were, copied)
	return nil
}

// TestTheShelfIsTheCatalogue lives through random histories. What is remembered
// is at every look what a reading from scratch finds, and what was handed out
// before stays as it was.
func TestTheShelfIsTheCatalogue(t *testing.T) {
	for seed := range uint64(12) {
		c := open(t)
		addServers(t, c, "web1", "web2", "db1", "db2")
		for i := range 4 { // the backups of two sites are found in the store
			ok(t, c.CreateSite(t.Context(), site(fmt.Sprintf("s%d.example", i))))
		}
		s := &shelved{Catalogue: c, r: rand.New(rand.NewPCG(seed, 11)), now: epoch}
		for range 60 {
			for range s.r.IntN(5) {
				err := s.change(t.Context())
				if err != nil && !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Precondition) {
					t.Fatal(err)
				}
			}
			if s.r.IntN(20) == 0 {
				gone, cancel := context.WithCancel(t.Context())
				cancel()
				if _, err := c.RetentionBackups(gone); err == nil {
					t.Error("a list for somebody who is gone")
				}
			}
			if err := s.look(t.Context()); err != nil {
				t.Fatalf("history %d: %v", seed, err)
			}
		}
		if diff := cmp.Diff(s.were, s.taken); diff != "" {
			t.Fatalf("history %d: what was handed out has changed\n%s", seed, diff)
		}
	}
}

func TestTheShelfReadsManyChangesAtOnce(t *testing.T) {
	c := open(t)
	insert(t, c, backup("a.example", 1))
	ok(t, second(c.RetentionBackups(t.Context())))
	var many []model.Backup
	for i := range catalogue.ManySites + 1 {
		many = append(many, backup(fmt.Sprintf("s%d.example", i), 1))
	}
	ok(t, c.Bulk(t.Context(), nil, many, nil))
	same(t, must(c.RetentionBackups(t.Context()))(t), must(c.ReadShelf(t.Context()))(t))
	same(t, len(must(c.RetentionBackups(t.Context()))(t)), len(many)+1)
}

// BenchmarkShelf measures what remembering 300,000 backups costs, and a look after one has come.
func BenchmarkShelf(b *testing.B) {
	c := fill(b)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	began := time.Now()
	ok(b, second(c.RetentionBackups(b.Context())))
	first, kept := time.Since(began), heap()-before
	n := 0
	for b.Loop() {
		n++
		insert(b, c, backup("site00500.example", 100+n))
		ok(b, second(c.RetentionBackups(b.Context())))
	}
	b.ReportMetric(float64(first.Milliseconds()), "ms-first")
	b.ReportMetric(float64(kept)/(1<<20), "MiB")
}
