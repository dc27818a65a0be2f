package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/store"
)

func deletes(t *testing.T, s Store) {
	id, other := ID("a.example", 1), ID("a.example", 2)
	Put(t, s, id, store.TarZst)
	Put(t, s, other, store.TarGz)
	b, err := s.Open(t.Context(), id, store.TarZst)
	fatal(t, err)
	defer b.Close()
	calls := 0
	fatal(t, s.Delete(t.Context(), id, func(context.Context) error {
		calls++
		Check(t, s, id, store.TarZst) // it is there for as long as it is listed
		return nil
	}))
	if calls != 1 {
		t.Fatalf("forgotten %d times", calls)
	}
	absent(t, s, id, store.TarZst)
	got := make([]byte, 10)
	if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, content(id)[:10]) {
		t.Fatalf("whoever had it open lost it: %v", err)
	}
	fatal(t, s.Delete(t.Context(), id, func(context.Context) error { return errs.New(errs.NotFound, "", "not listed") }))
	Check(t, s, other, store.TarGz)
	Put(t, s, id, store.TarGz)
}

func deleteIsRefused(t *testing.T, s Store) {
	id := ID("a.example", 1)
	Put(t, s, id, store.TarZst)
	wants(t, s.Delete(t.Context(), id, func(context.Context) error { return errs.New(errs.Precondition, "", "it is pinned") }), errs.Precondition)
	Check(t, s, id, store.TarZst)
	report, err := s.Sweep(t.Context(), all)
	fatal(t, err)
	if len(report.Removed) > 0 {
		t.Fatalf("the refused removal left %v", report.Removed)
	}
}

func deleteOfNothing(t *testing.T, s Store) {
	fatal(t, s.Delete(t.Context(), ID("a.example", 1), recorded))
	Put(t, s, ID("a.example", 2), store.TarZst)
	fatal(t, s.Delete(t.Context(), ID("a.example", 1), recorded))
	Check(t, s, ID("a.example", 2), store.TarZst)
}

func lists(t *testing.T, s Store) {
	var want []string
	for _, site := range []string{"a.example", "b.example"} {
		for i := range 3 {
			Put(t, s, ID(site, i), store.TarZst)
			want = append(want, ID(site, i))
		}
	}
	if got := list(t, s); !slices.Equal(got, want) {
		t.Fatalf("%v", got)
	}
	n := 0
	for range s.List(t.Context()) { //nolint:errcheck // stopping early is what is tested
		if n++; n == 2 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for e, err := range s.List(ctx) {
		if err == nil {
			t.Fatalf("%s after the end of the context", e.ID)
		}
		wants(t, err, errs.Cancelled)
	}
}

func sweepHealthy(t *testing.T, s Store) {
	Put(t, s, ID("a.example", 1), store.TarZst)
	Put(t, s, ID("b.example", 1), store.TarGz)
	report, err := s.Sweep(t.Context(), all)
	fatal(t, err)
	if len(report.Removed)+len(report.Unlisted)+len(report.Missing) != 0 {
		t.Fatalf("%+v", report)
	}
	Check(t, s, ID("a.example", 1), store.TarZst)
	Check(t, s, ID("b.example", 1), store.TarGz)
}

func sweepWithoutCatalogue(t *testing.T, s Store) {
	report, err := s.Sweep(t.Context(), none)
	fatal(t, err) // an empty store and an empty catalogue belong together
	if len(report.Unlisted) != 0 {
		t.Fatalf("%+v", report)
	}
	Put(t, s, ID("a.example", 1), store.TarZst)
	report, err = s.Sweep(t.Context(), none)
	wants(t, err, errs.Precondition)
	if errs.HintOf(err) == "" || len(report.Removed) > 0 {
		t.Fatalf("hint %q, removed %v", errs.HintOf(err), report.Removed)
	}
	Check(t, s, ID("a.example", 1), store.TarZst)
}

func sweepEndsAtError(t *testing.T, s Store) {
	Put(t, s, ID("a.example", 1), store.TarZst)
	boom := errors.New("boom")
	if _, err := s.Sweep(t.Context(), func(context.Context, string) (bool, error) { return false, boom }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	Check(t, s, ID("a.example", 1), store.TarZst)
}

func sweepUnlisted(t *testing.T, s Store) {
	lost := ID("a.example", 1)
	Put(t, s, lost, store.TarGz)
	Put(t, s, ID("a.example", 2), store.TarZst)
	report, err := s.Sweep(t.Context(), func(_ context.Context, id string) (bool, error) { return id != lost, nil })
	fatal(t, err)
	want := []store.Entry{{ID: lost, Format: store.TarGz, Size: int64(len(content(lost)))}}
	if !slices.Equal(report.Unlisted, want) || len(report.Removed) > 0 {
		t.Fatalf("%+v", report)
	}
	Check(t, s, lost, store.TarGz)
}

func room(t *testing.T, s Store) {
	_, err := s.Create(t.Context(), ID("a.example", 1), store.TarZst, 1<<60)
	wants(t, err, errs.NoSpace)
	if errs.HintOf(err) == "" {
		t.Fatal("no hint")
	}
	Put(t, s, ID("a.example", 1), store.TarZst)
}

func roomForOthers(t *testing.T, s Store) {
	free, err := s.Free(t.Context())
	fatal(t, err)
	first, err := s.Create(t.Context(), ID("a.example", 1), store.TarZst, free.Bytes/10*6)
	fatal(t, err)
	_, err = s.Create(t.Context(), ID("a.example", 2), store.TarZst, free.Bytes/10*6)
	wants(t, err, errs.NoSpace)
	fatal(t, first.Abort())
	second, err := s.Create(t.Context(), ID("a.example", 2), store.TarZst, free.Bytes/10*6)
	fatal(t, err)
	fatal(t, second.Abort())
}
