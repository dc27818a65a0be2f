package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type restoreOptions struct {
	taskFlags
	undo, dryRun, yes, filesOnly, dbOnly bool
	grace                                duration
	paths, tables                        []string
}

func newRestoreCmd(a *app) *cobra.Command {
	o := &restoreOptions{}
	cmd := &cobra.Command{
		Use:   "restore SITE BACKUP | --undo SITE",
		Short: "Put a backup in place of the live site",
		Long: `Put a backup in place of the live site. "latest" stands for the site's newest backup. A safety backup is taken first; whatever
fails, the site ends as it was. The old directory, database and user stay for the grace time, in which --undo brings
them back.

With --path and --table only what these name comes back, and everything else stays: names or globs as in a shell, given
several times, and together. A path is made what it was in the backup: files below a named directory that the backup does
not have go. Of a view the definition is replaced; a table whose rows the backup has left out stays as it is. A name that
matches nothing is refused before anything changes.

On a terminal it asks before it begins; elsewhere, or with --yes, it does not.`,
		Example: `  sitekeep restore example.com latest
  sitekeep restore example.com example.com-20261123.001336 --dry-run
  sitekeep restore example.com example.com-20261123.001336 --yes --grace 7d
  sitekeep restore example.com latest --path wp-content/uploads/2026 --path 'wp-content/plugins/*/readme.txt'
  sitekeep restore example.com latest --table wp_posts --table wp_postmeta
  sitekeep restore --undo example.com`,
		Args:              arguments(1, 2),
		ValidArgsFunction: a.complete(siteNames, backupIDs),
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.undo, "undo", false, "take back the site's last restore, within its grace time")
	flags.BoolVar(&o.dryRun, "dry-run", false, "print the plan and change nothing")
	flags.BoolVar(&o.filesOnly, "files-only", false, "restore the files and leave the database")
	flags.BoolVar(&o.dbOnly, "db-only", false, "restore the database and leave the files")
	flags.StringArrayVar(&o.paths, "path", nil, "restore this `path` or glob alone; may be given several times")
	flags.StringArrayVar(&o.tables, "table", nil, "restore this `table` or glob alone; may be given several times")
	flags.Var(&o.grace, "grace", "how long the old site is kept for --undo: 24h, 7d; 0s: not at all (default 24h)")
	yesFlag(cmd, &o.yes)
	o.add(cmd, true)
	cmd.PreRunE = func(_ *cobra.Command, args []string) error { return o.check(args) }
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		switch {
		case o.undo:
			return a.undoRestore(ctx, c, o, args[0])
		case o.dryRun:
			return a.planRestore(ctx, c, o, args)
		}
		return a.restore(ctx, c, o, args[0], args[1])
	})
	return cmd
}

// check refuses what contradicts itself.
func (o *restoreOptions) check(args []string) error {
	bad := func(format string, args ...any) error { return usageError("sitekeep restore", format, args...) }
	switch {
	case o.undo && (len(args) > 1 || o.dryRun || o.filesOnly || o.dbOnly || o.selects() || o.grace.given || o.queue):
		return bad("--undo takes a site, --yes and --detach, and nothing else")
	case !o.undo && len(args) < 2:
		return bad("say which backup is to be restored: an id, or latest")
	case o.filesOnly && o.dbOnly:
		return bad("--files-only and --db-only exclude each other")
	case (o.filesOnly || o.dbOnly) && o.selects():
		return bad("--path and --table exclude --files-only and --db-only")
	case o.dryRun && (o.detach || o.queue || o.grace.given):
		return bad("--dry-run starts nothing: --detach, --queue and --grace mean nothing with it")
	}
	return nil
}

// selects reports whether only some paths or tables are meant.
func (o *restoreOptions) selects() bool { return len(o.paths)+len(o.tables) > 0 }

// rawPaths are the paths as a request has them: bytes as they came.
func (o *restoreOptions) rawPaths() [][]byte {
	var out [][]byte
	for _, p := range o.paths {
		out = append(out, []byte(p))
	}
	return out
}

// backupOf finds the backup that is meant, so that what is confirmed is what is restored.
func backupOf(ctx context.Context, c *client, site, name string) (*sitekeepv1.Backup, error) {
	if name != latest {
		return resolve(ctx, c, name)
	}
	r, err := c.backups.GetBackup(ctx, &sitekeepv1.GetBackupRequest{Id: name, Site: site})
	return r.GetBackup(), err
}

func (a *app) restore(ctx context.Context, c *client, o *restoreOptions, site, name string) error {
	backup, err := backupOf(ctx, c, site, name)
	if err != nil {
		return err
	}
	if err := a.confirm(ctx, o.yes, o.explain(site, backup), "Restore it?"); err != nil {
		return err
	}
	request := &sitekeepv1.RestoreSiteRequest{Site: site, Backup: backup.GetId(), Queue: o.queue, FilesOnly: o.filesOnly, DbOnly: o.dbOnly,
		Paths: o.rawPaths(), Tables: o.tables}
	if o.grace.given {
		request.Grace = durationpb.New(o.grace.value)
	}
	task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.RestoreSiteResponse, error) {
		return c.restores.RestoreSite(ctx, request)
	})
	if err != nil {
		return err
	}
	err = a.finish(ctx, c, task, o.detach)
	if err == nil && !o.detach && (!o.grace.given || o.grace.value > 0) {
		fmt.Fprintf(a.err, "take it back with: sitekeep restore --undo %s\n", printable(site))
	}
	return err
}

// explain says what will happen, for the question.
func (o *restoreOptions) explain(site string, backup *sitekeepv1.Backup) string {
	what := "the files and the database"
	switch {
	case o.selects():
		what = o.selection()
	case o.filesOnly:
		what = "the files, not the database,"
	case o.dbOnly:
		what = "the database, not the files,"
	}
	kept := "24h"
	if o.grace.given {
		kept = o.grace.value.String()
	}
	text := fmt.Sprintf("%s\nThis puts %s of that backup in place of the live site %s.\nA safety backup is taken first. ",
		describe([]*sitekeepv1.Backup{backup}), what, printable(site))
	if o.grace.given && o.grace.value == 0 {
		return text + "The old site is removed at once and cannot be brought back with --undo."
	}
	return text + "The old site is kept for " + kept + " and can be brought back with --undo."
}

// selection names what comes back.
func (o *restoreOptions) selection() string {
	var parts []string
	if len(o.paths) > 0 {
		names := make([]string, len(o.paths))
		for i, p := range o.paths {
			names[i] = escaped(p)
		}
		parts = append(parts, "the paths "+strings.Join(names, " "))
	}
	if len(o.tables) > 0 {
		parts = append(parts, "the tables "+printable(strings.Join(o.tables, " ")))
	}
	return strings.Join(parts, " and ") + ", nothing else,"
}

func (a *app) undoRestore(ctx context.Context, c *client, o *restoreOptions, site string) error {
	explanation := fmt.Sprintf("This brings back what the site %s was before its last restore.", printable(site))
	if err := a.confirm(ctx, o.yes, explanation, "Undo the restore?"); err != nil {
		return err
	}
	task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.UndoRestoreResponse, error) {
		return c.restores.UndoRestore(ctx, &sitekeepv1.UndoRestoreRequest{Site: site})
	})
	if err != nil {
		return err
	}
	return a.finish(ctx, c, task, o.detach)
}

func (a *app) planRestore(ctx context.Context, c *client, o *restoreOptions, args []string) error {
	backup, err := backupOf(ctx, c, args[0], args[1])
	if err != nil {
		return err
	}
	plan, err := c.restores.PlanRestore(ctx, &sitekeepv1.PlanRestoreRequest{
		Site: args[0], Backup: backup.GetId(), FilesOnly: o.filesOnly, DbOnly: o.dbOnly, Paths: o.rawPaths(), Tables: o.tables,
	})
	if err != nil {
		return err
	}
	if a.output.json {
		err = writeJSON(a.out, plan)
	} else {
		fmt.Fprintf(a.out, "%s\n\n", describe([]*sitekeepv1.Backup{backup})) // latest may be another one than somebody thinks
		err = a.printPlan(plan)
	}
	if err != nil {
		return err
	}
	return a.warnings("the plan was made", plan.GetWarnings())
}
