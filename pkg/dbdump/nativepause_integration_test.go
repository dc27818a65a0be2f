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
