package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newMigrateCmd(a *app) *cobra.Command {
	var (
		how  taskFlags
		yes  bool
		keep duration
	)
	q := &sitekeepv1.MigrateSiteRequest{}
	cmd := &cobra.Command{
		Use:   "migrate SITE [--web SERVERS] [--db SERVER]",
		Short: "Move a site to other servers, under its name",
		Long: `Move a site to other web servers, to another database server, or both, under its name. Some of its web servers may stay.

The site is backed up while it serves, and its files are sent. Then visitors get the maintenance page, what has changed since
is backed up, and out of that the site is made at its new place, with a new database, a new user and a virtual host, and
asked for its page. From then on it serves there. On a web server that stays, the directory is exchanged as in a restore. The
downtime is that of the second backup, of sending the files that have changed, and of sending and importing the whole
database; the log and "task show" tell it. A new directory is written into the settings and, where the kind keeps addresses,
into the database; it needs web servers that are all new. A disabled site stays disabled.

Web servers that the site leaves answer 503 for the grace time; meanwhile 'restore --undo' goes back. Then what was replaced,
the old database and user go, and virtual host and directory where the site has left, unless something else uses them. If
anything fails before the new place serves, the old one serves again as it did, and nothing of the new one is left.

Files that backups leave out do not come along. The DNS is yours to change.`,
		Example: `  sitekeep migrate example.com --web web2
  sitekeep migrate example.com --db db2
  sitekeep migrate example.com --web web2 --dry-run
  sitekeep migrate example.com --web web2,web3 --db db2 --root /srv/www/example.com --grace 7d
  sitekeep restore --undo example.com`,
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(siteNames),
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&q.WebServers, "web", nil, "web `servers` to be on, by commas (default: those it is on)")
	flags.StringVar(&q.DbServer, "db", "", "database `server` to move to (default: the one it is on)")
	flags.StringVar(&q.Root, "root", "", "absolute `directory` of the site on new web servers (default: as it is)")
	flags.StringVar(&q.Docroot, "docroot", "", "absolute `directory` that is served of it (default: lies to the root as it does)")
	flags.Var(&keep, "grace", "how long the old place stays for an undo: 24h, 7d; 0s: not at all (default 24h)")
	yesFlag(cmd, &yes)
	how.add(cmd, true)
	dryRunFlag(cmd, &q.DryRun)
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		q.Site, q.Queue = args[0], how.queue
		if keep.given {
			q.Grace = durationpb.New(keep.value)
		}
		return a.migrate(ctx, c, q, yes, how.detach)
	})
	return cmd
}

func (a *app) migrate(ctx context.Context, c *client, q *sitekeepv1.MigrateSiteRequest, yes, detach bool) error {
	if q.DryRun {
		r, err := c.restores.MigrateSite(ctx, q)
		if err != nil {
			return err
		}
		return a.preview(r.GetPlan())
	}
	explanation := fmt.Sprintf("This moves %s to %s. Visitors get the maintenance page while what has changed is sent, until it serves there.",
		printable(q.GetSite()), printable(strings.Join(destination(q), ", ")))
	if err := a.confirm(ctx, yes, explanation, "Migrate it?"); err != nil {
		return err
	}
	task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.MigrateSiteResponse, error) {
		return c.restores.MigrateSite(ctx, q)
	})
	if err != nil {
		return err
	}
	return a.finish(ctx, c, task, detach)
}

// destination are the servers that are named.
func destination(q *sitekeepv1.MigrateSiteRequest) []string {
	servers := slices.Clone(q.GetWebServers())
	if q.GetDbServer() != "" {
		servers = append(servers, q.GetDbServer())
	}
	if len(servers) == 0 {
		return []string{"another directory"}
	}
	return servers
}
