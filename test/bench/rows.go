package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// rowEntry is one line of the registry: build lays out what the row needs, and
// is called only when the row is chosen.
type rowEntry struct {
	name, what string
	build      func(ctx context.Context, w *world) (*row, error)
	most       int  // rounds that are enough; 0: as many as were asked for
	extra      bool // runs only when it is named
}

// rows is the registry: a new row is one function and one line here. Those that
// change the site for good come last.
func rows() []rowEntry {
	return []rowEntry{
		{name: "first", what: "a whole first backup, nothing taken over: files and database", build: rowFirst},
		{name: "unchanged", what: "a backup of what did not change", build: rowUnchanged},
		{name: "restore", what: "a whole restore over the live site: files and database", build: rowRestore},
		{name: "restore-files", what: "the files alone, the site's directory being all but empty", build: rowRestoreFiles},
		{name: "restore-delta", what: "the files alone, 1 % of the live ones being other than the backup's", build: rowRestoreDelta},
		{name: "dump", what: "the database dumped to a file over TCP", build: rowDump},
		{name: "dump-disk", what: "the same from a server whose buffer pool holds a quarter of it", build: rowDumpDisk},
		{name: "dump-zstd", what: "the same, compressed", build: rowDumpZstd},
		{name: "import", what: "a dump imported into an empty database", build: rowImport},
		{name: "db-memory", what: "resident sets of a dump and of an import, by the database's size", build: rowDBMemory, most: 2},
		{name: "live", what: "sysbench at half load on the same server while the site is dumped", build: rowLive, most: 3},
		{name: "memory", what: "resident sets of fresh processes, one site and four at once", build: rowMemory, most: 2},
		{name: "cuts", what: "a first backup of the files, its connection cut 100 times", build: rowCuts, most: 1},
		{name: "xfs", what: "the files alone, the master's store on XFS", build: rowXFS, most: 3},
		{name: "changed", what: "a backup after 1 % of the files and rows changed, scattered at random", build: rowChanged(scattered)},
		{name: "changed-together", what: "the same where the changed files lie in one directory", build: rowChanged(together)},
		{name: "catalogue", what: "what a master with 10,000 sites and 300,000 backups is asked all the time", build: rowCatalogue},
		{name: "fleet", what: "500 small sites on 20 agents in one backup --all, and a page of another site meanwhile", build: rowFleet, most: 1, extra: true},
		{name: "fleet-kills", what: "the same, the master killed 50 times", build: rowFleetKills, most: 1, extra: true},
		{name: "pages", what: "pages of a master with 5,000 sites and 100,000 backups, each asked for over TLS", build: rowPages},
		{name: "one-file", what: "one file out of a tarball of 10 GB", build: rowOneFile, extra: true},
		{name: "million", what: "resident sets at 10,000 and at 1,000,000 files", build: rowMillion, most: 1, extra: true},
	}
}

// measure runs rows one after the other. A row that fails is reported and stops
// no other; the end of ctx stops all.
func (w *world) measure(ctx context.Context, all *report, chosen []rowEntry, stdout io.Writer) error {
	if !w.options.json {
		if err := all.Machine.print(stdout); err != nil {
			return err
		}
	}
	var missed, failed int
	for _, entry := range chosen {
		r, err := w.measureRow(ctx, entry)
		if err != nil {
			return err
		}
		all.Rows = append(all.Rows, r)
		missed += r.missed()
		if r.failed() {
			failed++
		}
		if err := w.publish(all, r, stdout); err != nil {
			return err
		}
		// What a row leaves behind is in the way, and no more.
		if err := w.endRow(ctx); err != nil {
			w.bed.Logf("row %s: %v", entry.name, err)
		}
	}
	if w.options.json {
		if err := all.writeJSON(stdout); err != nil {
			return err
		}
	}
	return w.verdict(missed, failed)
}

func (w *world) verdict(missed, failed int) error {
	switch {
	case failed > 0:
		return fmt.Errorf("%d rows have sides that failed", failed)
	case missed > 0 && w.options.strict:
		return fmt.Errorf("%d goals were not reached", missed)
	}
	return nil
}

// measureRow fails only when ctx ended.
func (w *world) measureRow(ctx context.Context, entry rowEntry) (rowReport, error) {
	rounds := w.options.rounds
	if entry.most > 0 {
		rounds = min(rounds, entry.most)
	}
	broken := func(err error) rowReport {
		w.bed.Logf("row %s: %v", entry.name, err)
		return rowReport{Name: entry.name, What: entry.what, Error: err.Error()}
	}
	w.bed.Logf("row %s", entry.name)
	if err := w.beginRow(entry.name); err != nil {
		return broken(err), nil
	}
	r, err := entry.build(ctx, w)
	if err == nil {
		err = r.measure(ctx, rounds, w.bed.Logf)
	}
	if ctx.Err() != nil {
		return rowReport{}, context.Cause(ctx)
	}
	if err != nil {
		return broken(err), nil
	}
	return r.report(entry), nil
}

// publish prints a row as soon as it is known, and saves all there are.
func (w *world) publish(all *report, r rowReport, stdout io.Writer) error {
	if !w.options.json {
		if err := r.print(stdout); err != nil {
			return err
		}
	}
	if w.options.save == "" {
		return nil
	}
	f, err := os.Create(w.options.save)
	if err != nil {
		return err
	}
	return errors.Join(all.writeJSON(f), f.Close())
}
