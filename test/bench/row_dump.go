package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	mariadbDump = "mariadb-dump"
	mydumper2   = "mydumper, 2 threads"
	dumpAndZstd = "mariadb-dump | zstd -3 -T0"
)

// serverCPU is the database server's time on the CPU.
const serverCPU = "server CPU s"

// watchServer counts the database server's time, beside the programs'.
func (w *world) watchServer(m *meter) error {
	return m.watch(daemon{pid: w.db.Pid(), label: "server", aside: true})
}

// rowDump reads from a server that has the database in its memory, as the caches are warm in all rows.
func rowDump(ctx context.Context, w *world) (*row, error) {
	r, err := w.dumps(ctx)
	if err == nil {
		r.want(ratio(wall, ours, mariadbDump, 0.45), ratio(wall, ours, mydumper2, 1.0))
	}
	return r, err
}

// smallPoolMiB is a buffer pool that the database does not fit into. MariaDB reads past the kernel's cache.
const smallPoolMiB = 64

// rowDumpDisk reads from a server that reads from its disk, as at night when nobody has asked for the site. What that takes
// is the same for all sides.
func rowDumpDisk(ctx context.Context, w *world) (*row, error) {
	w.atRowEnd(func() error { return w.resizePool(ctx, poolMiB) })
	if err := w.resizePool(ctx, smallPoolMiB); err != nil {
		return nil, err
	}
	r, err := w.dumps(ctx)
	if err == nil {
		r.want(ratio(wall, ours, mydumper2, 1.0))
	}
	return r, err
}

// resizePool gives the database server another buffer pool, and waits until it has it.
func (w *world) resizePool(ctx context.Context, mib int) error {
	if err := w.db.Exec(ctx, fmt.Sprintf("SET GLOBAL innodb_buffer_pool_size=%d", mib<<20)); err != nil {
		return err
	}
	for ctx.Err() == nil {
		var pages int
		err := w.db.Root().QueryRowContext(ctx,
			"SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'INNODB_BUFFER_POOL_PAGES_TOTAL'").Scan(&pages)
		if err != nil {
			return err
		}
		if has := pages * innodbPage >> 20; has <= mib*5/4 && has >= mib*3/4 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ctx.Err()
}

// innodbPage is innodb_page_size unless it is set, in bytes.
const innodbPage = 16 << 10

// dumps is the sides of both rows.
func (w *world) dumps(ctx context.Context) (*row, error) {
	r := newRow(serverCPU)
	dir, err := w.part("dumps")
	if err != nil {
		return nil, err
	}
	database, err := w.database()
	if err != nil {
		return nil, err
	}
	if !w.options.peers {
		path := filepath.Join(dir, "ours.sql")
		r.add(ours, w.dumpSide(path, func(ctx context.Context, m *meter) error {
			return w.runDriver(ctx, m, driveDump, database, path)
		}, wholeDump), nil)
	}
	path := filepath.Join(dir, "client.sql")
	r.add(mariadbDump, w.dumpSide(path, func(ctx context.Context, m *meter) error {
		return w.dumpTo(ctx, m, path)
	}, wholeDump), nil)
	many := filepath.Join(dir, "mydumper")
	r.add(mydumper2, w.dumpSide(many, func(ctx context.Context, m *meter) error {
		return w.mydumper(ctx, m, "mydumper", dir, database, 2, "--outputdir="+many, "--trx-consistency-only")
	}, w.wholeDirectory), nil)
	return r, nil
}

// dumpSide writes to a path that is not there before.
func (w *world) dumpSide(path string, work func(context.Context, *meter) error, check func(*meter, string) error) *side {
	return &side{
		prepare: func(context.Context) error { return os.RemoveAll(path) },
		work: func(ctx context.Context, m *meter) error {
			if err := w.watchServer(m); err != nil {
				return err
			}
			return work(ctx, m)
		},
		check: func(_ context.Context, m *meter) error { return check(m, path) },
	}
}

// wholeDirectory looks whether there is about as much as in a dump.
func (w *world) wholeDirectory(m *meter, dir string) error {
	size, err := treeBytes(dir)
	if err != nil {
		return err
	}
	m.note(archiveMB, megabytes(size))
	return tooSmall(dir, size, w.corpus.DumpBytes*9/10)
}

func rowDumpZstd(ctx context.Context, w *world) (*row, error) {
	r := newRow(serverCPU)
	dir, err := w.part("dumps")
	if err != nil {
		return nil, err
	}
	database, err := w.database()
	if err != nil {
		return nil, err
	}
	whole := func(m *meter, path string) error { return w.wholeZstd(ctx, m, path) }
	if !w.options.peers {
		path := filepath.Join(dir, "ours.sql.zst")
		r.add(ours, w.dumpSide(path, func(ctx context.Context, m *meter) error {
			return w.runDriver(ctx, m, driveDumpZstd, database, path)
		}, whole), nil)
	}
	path := filepath.Join(dir, "client.sql.zst")
	r.add(dumpAndZstd, w.dumpSide(path, func(ctx context.Context, m *meter) error {
		dump, end, err := w.dump(ctx)
		if err != nil {
			return err
		}
		defer end()
		return m.pipe(dump, tool(ctx, nil, "zstd", "-q", "-3", "-T0", "-o", path))
	}, whole), nil)
	r.want(ratio(wall, ours, dumpAndZstd, 0.85))
	return r, nil
}

// wholeZstd looks whether what is compressed has its end mark.
func (w *world) wholeZstd(ctx context.Context, m *meter, path string) error {
	size, err := treeBytes(path)
	if err != nil {
		return err
	}
	plain := path + ".sql"
	if err := newMeter().run(tool(ctx, nil, "zstd", "-q", "-d", "-f", "-o", plain, path)); err != nil {
		return err
	}
	if err := wholeDump(newMeter(), plain); err != nil {
		return err
	}
	m.note(archiveMB, megabytes(size))
	return os.Remove(plain)
}
