package main

import (
	"context"
	"path/filepath"
)

// Sides of the row that looks whether memory depends on the database's size.
const (
	dumpAll    = "dump"
	dumpMany   = "dump of five times as much"
	importAll  = "import"
	importMany = "import of five times as much"
)

// rowDBMemory drives dumps and imports of two sizes, each in a process of its own. The smaller one is large enough to fill
// all buffers there are.
func rowDBMemory(ctx context.Context, w *world) (*row, error) {
	r := newRow()
	if w.options.peers {
		return r, nil
	}
	dir, err := w.part("dumps")
	if err != nil {
		return nil, err
	}
	database, err := w.database()
	if err != nil {
		return nil, err
	}
	const large, times = "bench_large", 5
	w.atRowEnd(func() error { return w.db.Exec(context.Background(), "DROP DATABASE IF EXISTS "+large) })
	if err := w.copies(ctx, large, times); err != nil {
		return nil, err
	}
	for _, of := range []struct{ database, dump, into string }{{database, dumpAll, importAll}, {large, dumpMany, importMany}} {
		path := filepath.Join(dir, of.database+".sql")
		work := func(ctx context.Context, m *meter) error { return w.runDriver(ctx, m, driveDump, of.database, path) }
		err := work(ctx, newMeter())
		r.add(of.dump, &side{work: work}, err)
		r.add(of.into, w.memoryOfImport("bench_in_"+of.database, path), err)
	}
	// The bound is that for a site of ten times the files.
	r.want(ratio(peak, dumpMany, dumpAll, 1.10), ratio(peak, importMany, importAll, 1.10))
	return r, nil
}

func (w *world) memoryOfImport(into, path string) *side {
	return &side{
		prepare: func(ctx context.Context) error {
			return w.db.Exec(ctx, "CREATE DATABASE "+into+" CHARACTER SET utf8mb4")
		},
		work:  func(ctx context.Context, m *meter) error { return w.runDriver(ctx, m, driveImport, into, path) },
		check: func(ctx context.Context, _ *meter) error { return w.db.Exec(ctx, "DROP DATABASE "+into) },
	}
}
