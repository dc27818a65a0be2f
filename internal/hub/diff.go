package hub

import (
	"context"
	"slices"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/pkg/archive"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// DiffBackups walks two indexes side by side. It holds neither.
func (s *backupService) DiffBackups(q *sitekeepv1.DiffBackupsRequest, stream sitekeepv1.BackupService_DiffBackupsServer) error {
	ctx := stream.Context()
	return s.withTarball(ctx, q.Before, func(_ string, before *backup.Tarball) error {
		return s.withTarball(ctx, q.After, func(_ string, after *backup.Tarball) error {
			d := differ{quiet: q.SummaryOnly, send: stream.Send}
			if err := d.run(ctx, before, after); err != nil {
				return err
			}
			return stream.Send(&sitekeepv1.DiffBackupsResponse{Summary: &d.sums})
		})
	})
}

// differ adds up differences and sends them in pieces.
type differ struct {
	quiet bool
	send  func(*sitekeepv1.DiffBackupsResponse) error
	sums  sitekeepv1.DiffSummary
	piece []*sitekeepv1.Difference
}

func (d *differ) run(ctx context.Context, before, after *backup.Tarball) error {
	for c, err := range archive.DiffEntries(ctx, before.Reader, after.Reader) {
		if err != nil {
			return err
		}
		if err := d.entry(&c); err != nil {
			return err
		}
	}
	d.sums.RowsBefore, d.sums.RowsAfter = rowsOf(before), rowsOf(after)
	tables, err := archive.DiffTables(ctx, before.Reader, after.Reader)
	if err != nil {
		return err
	}
	for i := range tables {
		if err := d.table(&tables[i]); err != nil {
			return err
		}
	}
	return d.flush()
}

func rowsOf(t *backup.Tarball) (n int64) {
	for _, table := range t.Manifest().GetDump().GetTables() {
		n += int64(table.Rows)
	}
	return n
}

func (d *differ) entry(c *archive.EntryChange) error {
	out := &sitekeepv1.Difference{What: c.What}
	switch {
	case c.Before == nil:
		d.sums.Added++
		d.sums.AddedBytes += c.After.Size
		out.Change = "added"
	case c.After == nil:
		d.sums.Removed++
		d.sums.RemovedBytes += c.Before.Size
		out.Change = "removed"
	default:
		d.sums.Changed++
		out.Change = "changed"
		if slices.Contains(c.What, "content") || slices.Contains(c.What, "type") {
			d.sums.ChangedBytes += c.After.Size
		}
	}
	if c.Before != nil {
		out.EntryBefore = siteEntry(c.Before)
	}
	if c.After != nil {
		out.EntryAfter = siteEntry(c.After)
	}
	return d.take(out)
}

// siteEntry has the path in the site, which one in the tarball may differ from.
func siteEntry(e *archive.Entry) *sitekeepv1.Entry {
	named := *e
	named.Path = e.Name()
	return entryToProto(&named)
}

func (d *differ) table(c *archive.TableChange) error {
	out := &sitekeepv1.Difference{What: c.What, TableBefore: tableToProto(c.Before), TableAfter: tableToProto(c.After)}
	switch {
	case c.Before == nil:
		d.sums.TablesAdded++
		out.Change = "added"
	case c.After == nil:
		d.sums.TablesRemoved++
		out.Change = "removed"
	default:
		d.sums.TablesChanged++
		out.Change = "changed"
	}
	return d.take(out)
}

func (d *differ) take(one *sitekeepv1.Difference) error {
	if d.quiet {
		return nil
	}
	d.piece = append(d.piece, one)
	if len(d.piece) < entriesChunk {
		return nil
	}
	return d.flush()
}

func (d *differ) flush() error {
	if len(d.piece) == 0 {
		return nil
	}
	piece := d.piece
	d.piece = nil
	return d.send(&sitekeepv1.DiffBackupsResponse{Differences: piece})
}
