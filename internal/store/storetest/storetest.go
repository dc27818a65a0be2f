// Package storetest checks that a kind of store keeps the contract that
// package store states. It refuses to know how the store does it.
package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
)

// Writer puts backups in and takes them away.
type Writer interface {
	Create(ctx context.Context, id, format string, estimate int64) (store.Pending, error)
	Delete(ctx context.Context, id string, forget func(context.Context) error) error
}

// Reader gives backups back.
type Reader interface {
	Open(ctx context.Context, id, format string) (store.Blob, error)
	Sidecar(ctx context.Context, id string) ([]byte, error)
	List(ctx context.Context) iter.Seq2[store.Entry, error]
}

// Keeper looks after the store as a whole.
type Keeper interface {
	Free(ctx context.Context) (store.Space, error)
	Sweep(ctx context.Context, known store.Known) (store.Report, error)
}

// Store is what a kind of store offers.
type Store interface {
	Writer
	Reader
	Keeper
}

// Run runs the suite; open returns a new, empty store each time.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for name, check := range map[string]func(*testing.T, Store){
		"round trip":                      roundTrip,
		"nothing before commit":           nothingBeforeCommit,
		"abort":                           abort,
		"record fails":                    recordFails,
		"cancelled commit":                cancelledCommit,
		"ends once":                       endsOnce,
		"clash":                           clash,
		"concurrent clash":                concurrentClash,
		"concurrent backups":              concurrentBackups,
		"hostile names":                   hostileNames,
		"delete":                          deletes,
		"delete is refused":               deleteIsRefused,
		"delete of nothing":               deleteOfNothing,
		"list":                            lists,
		"sweep of a healthy store":        sweepHealthy,
		"sweep without a catalogue":       sweepWithoutCatalogue,
		"sweep ends at an error":          sweepEndsAtError,
		"sweep reports what is unlisted":  sweepUnlisted,
		"room for an estimate":            room,
		"estimates of others are counted": roomForOthers,
	} {
		t.Run(name, func(t *testing.T) { check(t, open(t)) })
	}
}

// ID makes the id of backup n of a site.
func ID(site string, n int) string {
	return model.BackupID(site, time.Date(2026, 11, 23, 0, 0, n, 0, time.UTC), 0)
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err error, kind errs.Kind) {
	t.Helper()
	if !errs.Is(err, kind) {
		t.Fatalf("error is %v (%s), want kind %s", err, errs.KindOf(err), kind)
	}
}

func recorded(context.Context) error { return nil }

// Put stores a backup whose content and sidecar follow from its id.
func Put(t testing.TB, s Writer, id, format string) {
	t.Helper()
	p, err := s.Create(t.Context(), id, format, 0)
	fatal(t, err)
	_, err = p.File().Write(content(id))
	fatal(t, err)
	fatal(t, p.Commit(t.Context(), sidecar(id), recorded))
}

// Check fails unless the store has exactly what Put stored.
func Check(t testing.TB, s Reader, id, format string) {
	t.Helper()
	b, err := s.Open(t.Context(), id, format)
	fatal(t, err)
	defer b.Close()
	got, err := io.ReadAll(io.NewSectionReader(b, 0, 1<<30))
	fatal(t, err)
	if !bytes.Equal(got, content(id)) || b.Size() != int64(len(got)) {
		t.Fatalf("%s gives %d bytes back, size %d", id, len(got), b.Size())
	}
	side, err := s.Sidecar(t.Context(), id)
	fatal(t, err)
	if !bytes.Equal(side, sidecar(id)) {
		t.Fatalf("sidecar of %s is %q", id, side)
	}
}

func content(id string) []byte { return bytes.Repeat([]byte("tarball of "+id+"\n"), 5000) }
func sidecar(id string) []byte { return []byte(`{"id":"` + id + `"}`) }

// absent fails if anything of a backup can be had.
func absent(t testing.TB, s Reader, id, format string) {
	t.Helper()
	_, err := s.Open(t.Context(), id, format)
	wants(t, err, errs.NotFound)
	_, err = s.Sidecar(t.Context(), id)
	wants(t, err, errs.NotFound)
	if ids := list(t, s); slices.Contains(ids, id) {
		t.Fatalf("%s is in %v", id, ids)
	}
}

func list(t testing.TB, s Reader) (ids []string) {
	t.Helper()
	for e, err := range s.List(t.Context()) {
		fatal(t, err)
		ids = append(ids, e.ID)
	}
	return ids
}

func all(context.Context, string) (bool, error)  { return true, nil }
func none(context.Context, string) (bool, error) { return false, nil }

func roundTrip(t *testing.T, s Store) {
	for i, format := range []string{store.TarZst, store.TarGz} {
		id := ID("a.example", i)
		p, err := s.Create(t.Context(), id, format, 1000)
		fatal(t, err)
		if p.ID() != id {
			t.Fatalf("id %s", p.ID())
		}
		_, err = p.File().Write(content(id))
		fatal(t, err)
		spools(t, p)
		calls := 0
		fatal(t, p.Commit(t.Context(), sidecar(id), func(context.Context) error {
			calls++
			Check(t, s, id, format) // it is there before it is listed
			return nil
		}))
		if calls != 1 {
			t.Fatalf("recorded %d times", calls)
		}
		Check(t, s, id, format)
	}
	var sizes []int64
	for e, err := range s.List(t.Context()) {
		fatal(t, err)
		sizes = append(sizes, e.Size)
	}
	if n := int64(len(content(ID("a.example", 0)))); !slices.Equal(sizes, []int64{n, n}) {
		t.Fatalf("sizes %v", sizes)
	}
	free, err := s.Free(t.Context())
	fatal(t, err)
	if free.Bytes <= 0 || free.Inodes <= 0 {
		t.Fatalf("%+v", free)
	}
}

func spools(t *testing.T, p store.Pending) {
	t.Helper()
	for _, name := range []string{"dump", "index-2", "dump"} {
		f, err := p.Spool(name)
		fatal(t, err)
		_, err = f.WriteString(name)
		fatal(t, err)
	}
	f, err := p.Spool("dump")
	fatal(t, err)
	got := make([]byte, 8)
	if _, err := f.ReadAt(got, 0); err != nil || string(got) != "dumpdump" {
		t.Fatalf("spool has %q (%v)", got, err)
	}
}

func nothingBeforeCommit(t *testing.T, s Store) {
	id := ID("a.example", 1)
	p, err := s.Create(t.Context(), id, store.TarZst, 0)
	fatal(t, err)
	_, err = p.File().Write(content(id))
	fatal(t, err)
	absent(t, s, id, store.TarZst)
	fatal(t, p.Abort())
}

func abort(t *testing.T, s Store) {
	id := ID("a.example", 1)
	p, err := s.Create(t.Context(), id, store.TarZst, 0)
	fatal(t, err)
	spools(t, p)
	fatal(t, p.Abort())
	fatal(t, p.Abort())
	absent(t, s, id, store.TarZst)
	Put(t, s, id, store.TarGz) // the id is free again, its spools too
	Check(t, s, id, store.TarGz)
}

func recordFails(t *testing.T, s Store) {
	id := ID("a.example", 1)
	p, err := s.Create(t.Context(), id, store.TarZst, 0)
	fatal(t, err)
	err = p.Commit(t.Context(), sidecar(id), func(context.Context) error { return errs.New(errs.Exists, "hint", "no") })
	wants(t, err, errs.Exists)
	absent(t, s, id, store.TarZst)
	fatal(t, p.Abort())
	Put(t, s, id, store.TarZst)
}

func cancelledCommit(t *testing.T, s Store) {
	id := ID("a.example", 1)
	p, err := s.Create(t.Context(), id, store.TarZst, 0)
	fatal(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wants(t, p.Commit(ctx, sidecar(id), func(context.Context) error { t.Error("it was recorded"); return nil }), errs.Cancelled)
	absent(t, s, id, store.TarZst)
}

func endsOnce(t *testing.T, s Store) {
	id := ID("a.example", 1)
	p, err := s.Create(t.Context(), id, store.TarZst, 0)
	fatal(t, err)
	_, err = p.File().Write(content(id))
	fatal(t, err)
	fatal(t, p.Commit(t.Context(), sidecar(id), recorded))
	fatal(t, p.Abort())
	wants(t, p.Commit(t.Context(), sidecar(id), recorded), errs.Precondition)
	fatal(t, p.Abort())
	Check(t, s, id, store.TarZst)
	if _, err := p.Spool("late"); err == nil {
		t.Fatal("a spool after the end")
	}
}

func clash(t *testing.T, s Store) {
	id := ID("a.example", 1)
	p, err := s.Create(t.Context(), id, store.TarZst, 0)
	fatal(t, err)
	for _, format := range []string{store.TarZst, store.TarGz} {
		_, err := s.Create(t.Context(), id, format, 0)
		wants(t, err, errs.Exists)
	}
	_, err = p.File().Write(content(id))
	fatal(t, err)
	fatal(t, p.Commit(t.Context(), sidecar(id), recorded))
	for _, format := range []string{store.TarZst, store.TarGz} {
		_, err := s.Create(t.Context(), id, format, 0)
		wants(t, err, errs.Exists)
	}
	Check(t, s, id, store.TarZst)
}

func concurrentClash(t *testing.T, s Store) {
	var wg sync.WaitGroup
	won := make(chan store.Pending, 8)
	for i := range 8 {
		wg.Go(func() {
			p, err := s.Create(t.Context(), ID("a.example", 1), []string{store.TarZst, store.TarGz}[i%2], 0)
			if err == nil {
				won <- p
			} else if !errs.Is(err, errs.Exists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d have the id", len(won))
	}
	fatal(t, (<-won).Abort())
}

func concurrentBackups(t *testing.T, s Store) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			id := ID(fmt.Sprintf("s%d.example", i%3), i)
			p, err := s.Create(t.Context(), id, store.TarZst, 100)
			if err == nil {
				_, err = p.File().Write(content(id))
			}
			if err == nil {
				err = p.Commit(t.Context(), sidecar(id), recorded)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 8 {
		Check(t, s, ID(fmt.Sprintf("s%d.example", i%3), i), store.TarZst)
	}
}

func hostileNames(t *testing.T, s Store) {
	for _, id := range []string{"", "..", "../../etc/passwd", "a.example", "/a.example-20261123.001336", "../a.example-20261123.001336", "a.example-20261123.001336/../x"} {
		if p, err := s.Create(t.Context(), id, store.TarZst, 0); err == nil {
			t.Errorf("id %q passed", id)
			fatal(t, p.Abort())
		}
		if _, err := s.Open(t.Context(), id, store.TarZst); err == nil {
			t.Errorf("id %q opened", id)
		}
		if _, err := s.Sidecar(t.Context(), id); err == nil {
			t.Errorf("id %q has a sidecar", id)
		}
		if err := s.Delete(t.Context(), id, recorded); err == nil {
			t.Errorf("id %q was deleted", id)
		}
	}
	for _, format := range []string{"", "zip", "tar", "../tar.zst"} {
		_, err := s.Create(t.Context(), ID("a.example", 1), format, 0)
		wants(t, err, errs.Usage)
	}
	p, err := s.Create(t.Context(), ID("a.example", 1), store.TarZst, 0)
	fatal(t, err)
	defer p.Abort() //nolint:errcheck // cleaning up
	for _, name := range []string{"", "..", "a/b", "A", "a.b", "0123456789012345678901234"} {
		_, err := p.Spool(name)
		wants(t, err, errs.Usage)
	}
}
