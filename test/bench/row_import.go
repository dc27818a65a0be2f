package main

import (
	"context"
	"path/filepath"
)

const (
	mariadbClient = "mariadb <"
	myloader2     = "myloader, 2 threads"
)

func rowImport(ctx context.Context, w *world) (*row, error) {
	r := newRow(serverCPU)
	dir, err := w.part("dumps")
	if err != nil {
		return nil, err
	}
	database, err := w.database()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "client.sql")
	if err := w.dumpTo(ctx, newMeter(), path); err != nil {
		return nil, err
	}
	if !w.options.peers {
		r.add(ours, w.importSide("bench_in_ours", func(ctx context.Context, m *meter, into string) error {
			return w.runDriver(ctx, m, driveImport, into, path)
		}), nil)
	}
	r.add(mariadbClient, w.importSide("bench_in_client", func(ctx context.Context, m *meter, into string) error {
		return w.importFrom(ctx, m, into, path)
	}), nil)
	s, err := w.myloaderSide(ctx, dir, database)
	r.add(myloader2, s, err)
	r.want(ratio(wall, ours, mariadbClient, 0.60), ratio(wall, ours, mariadbClient, 0.45).named("the aim"),
		ratio(serverCPU, ours, mariadbClient, 0.6))
	return r, nil
}

func (w *world) myloaderSide(ctx context.Context, dir, database string) (*side, error) {
	many := filepath.Join(dir, "mydumper")
	if err := w.mydumper(ctx, newMeter(), "mydumper", dir, database, 2, "--outputdir="+many, "--trx-consistency-only"); err != nil {
		return nil, err
	}
	return w.importSide("bench_in_myloader", func(ctx context.Context, m *meter, into string) error {
		return w.mydumper(ctx, m, "myloader", dir, into, 2, "--directory="+many)
	}), nil
}

// importSide fills a new database, which is compared with the site's and goes.
func (w *world) importSide(into string, work func(ctx context.Context, m *meter, into string) error) *side {
	return &side{
		prepare: func(ctx context.Context) error {
			return w.db.Exec(ctx, "DROP DATABASE IF EXISTS "+into, "CREATE DATABASE "+into+" CHARACTER SET utf8mb4")
		},
		work: func(ctx context.Context, m *meter) error {
			if err := w.watchServer(m); err != nil {
				return err
			}
			return work(ctx, m, into)
		},
		check: func(ctx context.Context, _ *meter) error {
			if err := w.sameTables(ctx, into); err != nil {
				return err
			}
			return w.db.Exec(ctx, "DROP DATABASE "+into)
		},
	}
}
