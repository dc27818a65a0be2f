package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

const maxPage = 1000 // the master's own limit of a page of backups

func newBackupsCmd(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "backups [SITE]",
		Short: "List backups, newest first",
		Long: `List backups, newest first: id, date and time (of this machine's time zone), size, new bytes, description. New bytes are
those that were not taken over from an earlier backup.`,
		Example:           "  sitekeep backups example.com\n  sitekeep backups example.com --limit 1 -o json",
		Args:              arguments(0, 1),
		ValidArgsFunction: a.complete(siteNames),
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 0, "at most this many (default all)")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if limit < 0 {
			return usageError("sitekeep backups", "--limit %d is less than nothing", limit)
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		out := newRows(a, "BACKUP|CREATED|SIZE|NEW|DESCRIPTION", backupCells)
		if err := eachPage(ctx, c, first(args), limit, out.addAll); err != nil {
			return err
		}
		return out.close()
	})
	return cmd
}

func backupCells(b *sitekeepv1.Backup) []string {
	notes := b.GetDescription()
	if b.GetPinned() {
		notes += " [pinned]"
	}
	if n := len(b.GetWarnings()); n > 0 {
		notes += " [" + plural(int64(n), "warning") + "]"
	}
	return []string{b.GetId(), localTime(b.GetCreatedAt()), bytesize.Text(b.GetSize()), bytesize.Text(b.GetNewBytes()), notes}
}

// eachPage hands over the backups of a site (or all), newest first, a page at a time; limit 0 is no limit.
func eachPage(ctx context.Context, c *client, site string, limit int, take func([]*sitekeepv1.Backup) error) error {
	request := &sitekeepv1.ListBackupsRequest{Site: site}
	for {
		if limit > 0 {
			request.PageSize = int32(min(limit, maxPage))
		}
		page, err := c.backups.ListBackups(ctx, request)
		if err != nil {
			return err
		}
		backups := page.GetBackups()
		if limit > 0 && len(backups) > limit {
			backups = backups[:limit]
		}
		if err := take(backups); err != nil {
			return err
		}
		limit -= len(backups)
		if limit == 0 || page.GetNextPageToken() == "" {
			return nil
		}
		request.PageToken = page.GetNextPageToken()
	}
}

const (
	latest       = "latest"
	latestSuffix = "-" + latest
	latestHelp   = "\n\nSITE-latest stands for the newest backup of a site, and latest for the newest of all."
)

// resolveID gives the id that an argument stands for, asking the master only if it must. The id may not exist.
func resolveID(ctx context.Context, c *client, name string) (string, error) {
	if !strings.HasSuffix(name, latest) {
		return name, nil
	}
	backup, err := resolve(ctx, c, name)
	return backup.GetId(), err
}

// resolve finds the backup that an argument names: an id, SITE-latest, or latest.
func resolve(ctx context.Context, c *client, name string) (*sitekeepv1.Backup, error) {
	request := &sitekeepv1.GetBackupRequest{Id: name}
	if site, ok := strings.CutSuffix(name, latestSuffix); ok {
		request.Id, request.Site = latest, site
	}
	if name == latest {
		newest, err := c.backups.ListBackups(ctx, &sitekeepv1.ListBackupsRequest{PageSize: 1})
		if err != nil {
			return nil, err
		}
		if len(newest.GetBackups()) == 0 {
			return nil, errs.New(errs.NotFound, "make one with: sitekeep backup SITE", "there is no backup yet")
		}
		return newest.GetBackups()[0], nil
	}
	r, err := c.backups.GetBackup(ctx, request)
	return r.GetBackup(), err
}

// resolveAll finds all of them, or none.
func resolveAll(ctx context.Context, c *client, names []string) ([]*sitekeepv1.Backup, error) {
	var found []*sitekeepv1.Backup
	for _, name := range unique(names) {
		backup, err := resolve(ctx, c, name)
		if err != nil {
			return nil, err
		}
		found = append(found, backup)
	}
	return found, nil
}

func newDeleteCmd(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete BACKUP...",
		Short: "Delete backups",
		Long: `Delete backups, and print the id of each one that is gone. If one of those named does not exist, nothing is deleted.
A pinned backup is refused.

SITE-latest stands for the newest backup of a site.`,
		Example:           "  sitekeep delete example.com-20261123.001336 --yes",
		Args:              arguments(1, many),
		ValidArgsFunction: a.complete(backupIDs),
	}
	yesFlag(cmd, &yes)
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if slices.Contains(args, latest) {
			return errs.New(errs.Usage, "name the site: SITE-latest", "the latest backup of which site is to be deleted?")
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		found, err := resolveAll(ctx, c, args)
		if err != nil {
			return err
		}
		if err := a.confirm(ctx, yes, describe(found), "Delete "+plural(int64(len(found)), "backup")+"?"); err != nil {
			return err
		}
		return a.eachBackup(found, func(b *sitekeepv1.Backup) (*sitekeepv1.Backup, error) {
			_, err := c.backups.DeleteBackup(ctx, &sitekeepv1.DeleteBackupRequest{Id: b.GetId()})
			return b, err
		})
	})
	return cmd
}

// describe lists backups for a question.
func describe(backups []*sitekeepv1.Backup) string {
	var b strings.Builder
	table := newTable(&b)
	for _, backup := range backups {
		cells := backupCells(backup)
		for i := range cells {
			cells[i] = printable(cells[i])
		}
		fmt.Fprintln(table, "  "+strings.Join(cells, "\t"))
	}
	_ = table.Flush() // into memory
	return strings.TrimSuffix(b.String(), "\n")
}

// eachBackup does something to each backup and prints those with which it worked; the others are the error.
func (a *app) eachBackup(backups []*sitekeepv1.Backup, do func(*sitekeepv1.Backup) (*sitekeepv1.Backup, error)) error {
	out := newRowsTo(a.out, a, func(b *sitekeepv1.Backup) []string { return []string{b.GetId()} })
	var failures []error
	for _, backup := range backups {
		changed, err := do(backup)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if err := emit(out, changed); err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	return gather(failures)
}

func newPinCmd(a *app) *cobra.Command {
	return newPinningCmd(a, true, &cobra.Command{
		Use:     "pin BACKUP...",
		Short:   "Protect backups from deletion",
		Long:    "Protect backups from deletion, by hand and by retention, until they are unpinned." + latestHelp,
		Example: "  sitekeep pin example.com-20261123.001336\n  sitekeep pin example.com-latest",
	})
}

func newUnpinCmd(a *app) *cobra.Command {
	return newPinningCmd(a, false, &cobra.Command{
		Use:     "unpin BACKUP...",
		Short:   "End the protection of backups",
		Long:    "End the protection of backups from deletion." + latestHelp,
		Example: "  sitekeep unpin example.com-20261123.001336",
	})
}

func newPinningCmd(a *app, pinned bool, cmd *cobra.Command) *cobra.Command {
	cmd.Args = arguments(1, many)
	cmd.ValidArgsFunction = a.complete(backupIDs)
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		found, err := resolveAll(ctx, c, args)
		if err != nil {
			return err
		}
		return a.eachBackup(found, func(b *sitekeepv1.Backup) (*sitekeepv1.Backup, error) {
			r, err := c.backups.PinBackup(ctx, &sitekeepv1.PinBackupRequest{Id: b.GetId(), Pinned: pinned})
			return r.GetBackup(), err
		})
	})
	return cmd
}

func newCheckCmd(a *app) *cobra.Command {
	var how taskFlags
	request := &sitekeepv1.CheckBackupsRequest{}
	cmd := &cobra.Command{
		Use:   "check BACKUP... | --all",
		Short: "Read every byte of backups and compare every hash",
		Long: `Read every byte of backups and compare every hash. With --read-data the bytes are decompressed too, and what is
inside is compared. A damaged backup ends the command with 1; the log names the file.` + latestHelp,
		Example:           "  sitekeep check example.com-latest\n  sitekeep check --all --read-data",
		Args:              arguments(0, many),
		ValidArgsFunction: a.complete(backupIDs),
	}
	cmd.Flags().BoolVar(&request.All, "all", false, "all backups")
	cmd.Flags().BoolVar(&request.ReadData, "read-data", false, "decompress, and compare what is inside too")
	how.add(cmd, false)
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if request.All == (len(args) > 0) {
			return usageError("sitekeep check", "name backups, or give --all")
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		for _, name := range unique(args) {
			id, err := resolveID(ctx, c, name)
			if err != nil {
				return err
			}
			request.Ids = append(request.Ids, id)
		}
		task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.CheckBackupsResponse, error) {
			return c.backups.CheckBackups(ctx, request)
		})
		if err != nil {
			return err
		}
		return a.finish(ctx, c, task, how.detach)
	})
	return cmd
}
