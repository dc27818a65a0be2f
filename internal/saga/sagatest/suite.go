package sagatest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/saga"
)

// JournalSuite holds an implementation of saga.Journal to its contract. open
// opens the journal of that name, empty at first; opened again, as after a
// restart, it must have what was appended to it.
func JournalSuite(t *testing.T, open func(t *testing.T, name string) saga.Journal) {
	t.Run("empty", func(t *testing.T) {
		if got := readAll(t, open(t, "empty")); len(got) != 0 {
			t.Errorf("a new journal has %v", got)
		}
	})
	t.Run("keeps everything in order", func(t *testing.T) {
		want := fullRecords()
		appendAll(t, open(t, "a"), want[:4])
		appendAll(t, open(t, "a"), want[4:])
		sameRecords(t, readAll(t, open(t, "a")), want)
	})
	t.Run("journals do not mix", func(t *testing.T) {
		all := fullRecords()
		appendAll(t, open(t, "b"), all[:2])
		appendAll(t, open(t, "c"), all[2:3])
		sameRecords(t, readAll(t, open(t, "b")), all[:2])
		sameRecords(t, readAll(t, open(t, "c")), all[2:3])
	})
	t.Run("twice the same record", func(t *testing.T) {
		all := fullRecords()
		appendAll(t, open(t, "twice"), all[:1])
		appendAll(t, open(t, "twice"), all[:1])
		sameRecords(t, readAll(t, open(t, "twice")), append(all[:1:1], all[0]))
	})
	t.Run("from several goroutines", func(t *testing.T) { sideBySide(t, open) })
}

// fullRecords uses every kind and every field.
func fullRecords() []saga.Record {
	at := time.Date(2026, 11, 23, 0, 13, 36, 123456789, time.UTC)
	return []saga.Record{
		{Kind: saga.KindPlan, Time: at, Plan: "restore", Version: 3, Stages: [][]string{{"a"}, {"b", "c"}}},
		{Kind: saga.KindBegun, Time: at, Step: "a", Memo: saga.Memo(`{"name":"ä'\"\\ \u0000","n":9007199254740993}`)},
		{Kind: saga.KindBegun, Time: at, Step: "b", Memo: saga.Memo(`null`)},
		{Kind: saga.KindDone, Time: at, Step: "a"},
		{Kind: saga.KindCommitted, Time: at, Due: at.Add(24 * time.Hour)},
		{Kind: saga.KindRollingBack, Time: at, Reason: "asked for: 100 %"},
		{Kind: saga.KindUndoing, Time: at, Step: "b"},
		{Kind: saga.KindUndone, Time: at, Step: "b"},
		{Kind: saga.KindNeedsOperator, Time: at, Step: "a", Reason: "gone", Commands: []string{"mv 'a b' c", "ls"}},
		{Kind: saga.KindResumed, Time: at},
		{Kind: saga.KindRolledBack, Time: at},
		{Kind: saga.KindFinishing, Time: at},
		{Kind: saga.KindFinished, Time: at, Step: "a"},
		{Kind: saga.KindCompleted, Time: at},
	}
}

func appendAll(t *testing.T, j saga.Journal, records []saga.Record) {
	t.Helper()
	for _, r := range records {
		if err := j.Append(context.Background(), r); err != nil {
			t.Fatalf("append %s: %v", r.Kind, err)
		}
	}
}

func readAll(t *testing.T, j saga.Journal) []saga.Record {
	t.Helper()
	got, err := j.Records(context.Background())
	if err != nil {
		t.Fatalf("records: %v", err)
	}
	return got
}

func sameRecords(t *testing.T, got, want []saga.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records instead of %d: %v", len(got), len(want), got)
	}
	for i := range got {
		if a, b := plain(t, got[i]), plain(t, want[i]); !reflect.DeepEqual(a, b) {
			t.Errorf("record %d is\n%+v\ninstead of\n%+v", i, a, b)
		}
	}
}

// plain makes records comparable that mean the same: spaces in a memo, the
// location of a time, and whether a memo is null or nothing do not matter.
func plain(t *testing.T, r saga.Record) saga.Record {
	t.Helper()
	r.Time, r.Due = r.Time.UTC(), r.Due.UTC()
	if r.Memo != nil {
		var b bytes.Buffer
		if err := json.Compact(&b, r.Memo); err != nil {
			t.Fatalf("memo %q: %v", r.Memo, err)
		}
		if r.Memo = b.Bytes(); string(r.Memo) == "null" {
			r.Memo = nil
		}
	}
	return r
}

func sideBySide(t *testing.T, open func(t *testing.T, name string) saga.Journal) {
	const writers, each = 4, 10
	j := open(t, "busy")
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := 0; n < each && errs[w] == nil; n++ {
				errs[w] = j.Append(context.Background(), saga.Record{Kind: saga.KindDone, Step: fmt.Sprintf("%d", w), Version: n})
			}
		})
	}
	wg.Wait()
	next := make([]int, writers)
	for _, r := range readAll(t, j) {
		var w int
		if _, err := fmt.Sscan(r.Step, &w); err != nil || next[w] != r.Version {
			t.Fatalf("writer %s: record %d where %d belongs (%v)", r.Step, r.Version, next[w], errs)
		}
		next[w]++
	}
	for w, n := range next {
		if n != each {
			t.Errorf("writer %d: %d of %d records, %v", w, n, each, errs[w])
		}
	}
}
