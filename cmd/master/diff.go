package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newDiffCmd(a *app) *cobra.Command {
	var stat bool
	cmd := &cobra.Command{
		Use:   "diff BACKUP BACKUP",
		Short: "Say in what two backups differ",
		Long: `List what was added (A), removed (D) and changed (M) from the first backup to the second, and which tables differ (T).
In brackets stands in what: type, content, size, mode, owner, time, link, xattrs. The time of a directory alone is no
difference. The exit status is 0 whether they differ or not.` + latestHelp,
		Example: `  sitekeep diff example.com-20261122.001336 example.com-20261123.001336
  sitekeep diff --stat example.com-20261122.001336 example.com-latest`,
		Args:              arguments(2, 2),
		ValidArgsFunction: a.complete(backupIDs),
	}
	cmd.Flags().BoolVar(&stat, "stat", false, "only the sums")
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		before, err := resolveID(ctx, c, args[0])
		if err != nil {
			return err
		}
		after, err := resolveID(ctx, c, args[1])
		if err != nil {
			return err
		}
		return a.diff(ctx, c, &sitekeepv1.DiffBackupsRequest{Before: before, After: after, SummaryOnly: stat})
	})
	return cmd
}

// diff prints differences as they come. A stream without the sums at its end was cut off.
func (a *app) diff(ctx context.Context, c *client, request *sitekeepv1.DiffBackupsRequest) error {
	stream, err := c.backups.DiffBackups(ctx, request)
	if err != nil {
		return err
	}
	out := newRowsTo(a.out, a, differenceCells)
	var sums *sitekeepv1.DiffSummary
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := out.addAll(part.GetDifferences()); err != nil {
			return err
		}
		sums = part.GetSummary()
	}
	if sums == nil {
		return errs.New(errs.Unreachable, "compare them again", "the comparison was cut off")
	}
	if request.GetSummaryOnly() {
		return a.printFacts(sums, sumFacts(sums))
	}
	return out.close()
}

func sumFacts(s *sitekeepv1.DiffSummary) facts {
	return facts{
		{"added", fmt.Sprintf("%d (%s)", s.GetAdded(), bytesize.Text(s.GetAddedBytes()))},
		{"removed", fmt.Sprintf("%d (%s)", s.GetRemoved(), bytesize.Text(s.GetRemovedBytes()))},
		{"changed", fmt.Sprintf("%d (%s of files with other content)", s.GetChanged(), bytesize.Text(s.GetChangedBytes()))},
		{"tables", fmt.Sprintf("%d added, %d removed, %d changed", s.GetTablesAdded(), s.GetTablesRemoved(), s.GetTablesChanged())},
		{"rows", fmt.Sprintf("%d -> %d", s.GetRowsBefore(), s.GetRowsAfter())},
	}
}

func differenceCells(d *sitekeepv1.Difference) []string {
	if d.GetTableBefore() != nil || d.GetTableAfter() != nil {
		return []string{"T " + tableDifference(d)}
	}
	entry := d.GetEntryAfter()
	if entry == nil {
		entry = d.GetEntryBefore()
	}
	mark := map[string]string{"added": "A", "removed": "D"}[d.GetChange()]
	if mark == "" {
		return []string{"M " + entryName(entry) + " (" + strings.Join(d.GetWhat(), ", ") + ")"}
	}
	return []string{mark + " " + entryName(entry)}
}

func tableDifference(d *sitekeepv1.Difference) string {
	before, after := d.GetTableBefore(), d.GetTableAfter()
	some := after
	if some == nil {
		some = before
	}
	name := escaped(some.GetName())
	if name == "" {
		name = "(" + some.GetKind() + ")"
	}
	switch {
	case before == nil:
		return fmt.Sprintf("%s: added, rows %d", name, after.GetRows())
	case after == nil:
		return fmt.Sprintf("%s: removed, rows %d", name, before.GetRows())
	}
	rows := ""
	if before.GetRows() != after.GetRows() {
		rows = fmt.Sprintf("rows %d -> %d ", before.GetRows(), after.GetRows())
	}
	return fmt.Sprintf("%s: %s(%s)", name, rows, strings.Join(d.GetWhat(), ", "))
}
