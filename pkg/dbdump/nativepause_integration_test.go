//go:build integration

package dbdump

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

// Whoever asked for it may hold the dump up between two pieces, and end it.
func TestADumpPauses(t *testing.T) {
	m := bed(t)
	m.fresh(t, "pauses", "utf8mb4")
	m.exec(t, "CREATE TABLE pauses.a (id INT PRIMARY KEY)", "CREATE TABLE pauses.b (id INT PRIMARY KEY)")
	in := m.open(t, m.server(), Options{})
	var pauses atomic.Int64
	count := func(context.Context) error { pauses.Add(1); return nil }
	dumped(t, in, DumpOptions{Database: "pauses", Engine: EngineNative, Pause: count})
	if pauses.Load() < 2 {
		t.Errorf("%d pauses for two tables", pauses.Load())
	}
	enough := errors.New("enough")
	_, err := in.Dump(t.Context(), DumpOptions{Database: "pauses", Engine: EngineNative, Pause: func(context.Context) error { return enough }}, &memory{})
	if !errors.Is(err, enough) {
		t.Errorf("error = %v", err)
	}
}

// What others would have to wait for, and what could not be held up, is urgent; reading over one connection is not.
func TestLocksAndProgramsAreUrgent(t *testing.T) {
	m := bed(t)
	m.fresh(t, "urgent", "utf8mb4")
	m.exec(t, "CREATE TABLE urgent.a (id INT PRIMARY KEY)", "INSERT INTO urgent.a VALUES (1)")
	in := m.open(t, m.server(), Options{})
	for name, row := range map[string]struct {
		o     DumpOptions
		times int64
	}{
		"one connection":   {DumpOptions{Engine: EngineNative, Parallel: 1}, 0},
		"two connections":  {DumpOptions{Engine: EngineNative, Parallel: 2}, 1},
		"a client program": {DumpOptions{Engine: EngineClient}, 1},
	} {
		var begun, ended atomic.Int64
		row.o.Database = "urgent"
		row.o.Urgent = func() func() { begun.Add(1); return func() { ended.Add(1) } }
		row.o.Pause = func(context.Context) error {
			if begun.Load() != ended.Load() {
				t.Errorf("%s: it reads while it is urgent", name)
			}
			return nil
		}
		dumped(t, in, row.o)
		if begun.Load() != row.times || ended.Load() != row.times {
			t.Errorf("%s: urgent %d times and %d over, want %d", name, begun.Load(), ended.Load(), row.times)
		}
	}
}

// A database that was inspected a moment ago is not inspected again.
func TestADumpTakesWhatWasInspected(t *testing.T) {
	m := bed(t)
	m.fresh(t, "known", "utf8mb4")
	m.exec(t, "CREATE TABLE known.a (id INT PRIMARY KEY)", "CREATE TABLE known.b (id INT PRIMARY KEY)")
	in := m.open(t, m.server(), Options{})
	info, err := in.Inspect(t.Context(), "known")
	if err != nil {
		t.Fatal(err)
	}
	info.Tables = info.Tables[:1]
	if _, got := dumped(t, in, DumpOptions{Database: "known", Inspected: &info}); len(got.TableRows()) != 1 {
		t.Errorf("dumped %v", got.TableRows())
	}
}
