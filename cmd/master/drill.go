package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newDrillCmd(a *app) *cobra.Command {
	o := &backupOptions{}
	var backup string
	cmd := &cobra.Command{
		Use:   "drill SITE... | - | --all | --client CUSTOMER",
		Short: "Show that backups can be restored, beside the live sites",
		Long: `Restore the last good backup of each site into a scratch directory beside it and into a scratch database with a user of
its own, compare files, tables and rows with what was recorded, and remove all of it again, whatever comes of it. The
live site, its settings and its virtual host are not touched.

The site and the backup are printed for each drill that passed; in JSON the result is an array of tasks. One that fails
stops no other. Sites are named as for "sitekeep backup". "sitekeep site show" tells of a site's last drill, and
"sitekeep schedule set --kind drill" lets drills happen by themselves.`,
		Example: `  sitekeep drill example.com
  sitekeep drill example.com --backup example.com-20261123.001336
  sitekeep drill --all --detach`,
		ValidArgsFunction: a.complete(siteNames),
		Args:              arguments(0, many),
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.request.All, "all", false, "all sites")
	flags.StringVar(&o.request.Client, "client", "", "all sites of this `customer`")
	flags.StringVar(&backup, "backup", "", "this `backup`, of the one site that is named (default: the last good one)")
	o.add(cmd, true)
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if err := o.check(args); err != nil {
			return usageError("sitekeep drill", "name sites, or give one of --all and --client")
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		var err error
		if o.request.Names, err = a.siteArguments(args); err != nil {
			return err
		}
		return a.drill(ctx, c, o, backup)
	})
	return cmd
}

func (a *app) drill(ctx context.Context, c *client, o *backupOptions, backup string) error {
	run, end := a.newBackupRun(c, o, true)
	run.noun = "drill"
	if !o.detach {
		run.started.cells = func(t *sitekeepv1.Task) []string { return []string{t.GetSite(), t.GetBackup()} }
	}
	run.submit = func(ctx context.Context) ([]*sitekeepv1.Task, error) {
		q := &o.request
		reply, err := c.restores.DrillSites(ctx, &sitekeepv1.DrillSitesRequest{
			All: q.All, Client: q.Client, Names: q.Names, Backup: backup, Queue: o.queue})
		if err != nil {
			return nil, err
		}
		for _, no := range reply.GetRefused() {
			run.note(errs.New(errs.ParseKind(no.GetErrorKind()), no.GetHint(), "drill of %s: %s", no.GetSite(), no.GetError()))
		}
		return reply.GetTasks(), nil
	}
	run.print = func(_ context.Context, task *sitekeepv1.Task) error { return emit(run.started, task) }
	run.close = run.started.close
	return end(run.many(ctx))
}

// drillText says in a line what the last drill of a site has shown.
func drillText(d *sitekeepv1.SiteDrill) string {
	switch {
	case d == nil:
		return "-"
	case d.GetPassed():
		return fmt.Sprintf("%s: passed with %s", localTime(d.GetAt()), d.GetBackup())
	}
	return fmt.Sprintf("%s: FAILED with %s: %s", localTime(d.GetAt()), d.GetBackup(), printable(strings.TrimSpace(d.GetProblem())))
}
