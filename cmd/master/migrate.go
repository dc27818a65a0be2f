package main

import (
	"context"
	"fmt"
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
		Use:   "migrate SITE --web SERVERS",
		Short: "Move a site to other servers, under its name",
		Long: `Move a site to other web servers, and if wanted to another database server and another directory, under its name.

The site is backed up while it serves. Then visitors get the maintenance page, what has changed since is backed up, and out of
that the site is made at its new place, with a new database, a new user and a virtual host, and asked for its page. From then
on it serves there. The downtime is that of the second backup and of sending all files and the whole database: nothing is
sent ahead. A new directory is written into the settings and, where the kind keeps addresses, into the database.

The old place answers 503 for the grace time; meanwhile 'restore --undo' goes back to it. Then its virtual host, directory,
database and user are removed, unless something else uses them. If anything fails before the new place serves, the old one
serves again as it did, and nothing of the new one is left.

The web servers must all be other ones; the DNS is yours to change.`,
		Example: `  sitekeep migrate example.com --web web2
  sitekeep migrate example.com --web web2,web3 --db db2 --root /srv/www/example.com --grace 7d
  sitekeep restore --undo example.com`,
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(siteNames),
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&q.WebServers, "web", nil, "web `servers` to move to, by commas; none that it is on")
	flags.StringVar(&q.DbServer, "db", "", "database `server` to move to (default: the one it is on)")
	flags.StringVar(&q.Root, "root", "", "absolute `directory` of the site there (default: as it is)")
	flags.StringVar(&q.Docroot, "docroot", "", "absolute `directory` that is served of it (default: lies to the root as it does)")
	flags.Var(&keep, "grace", "how long the old place stays for an undo: 24h, 7d; 0s: not at all (default 24h)")
	yesFlag(cmd, &yes)
	how.add(cmd, true)
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		q.Site, q.Queue = args[0], how.queue
		if keep.given {
			q.Grace = durationpb.New(keep.value)
		}
		explanation := fmt.Sprintf("This moves %s to %s. Visitors get the maintenance page until it serves there.",
			printable(args[0]), printable(strings.Join(q.GetWebServers(), ", ")))
		if err := a.confirm(ctx, yes, explanation, "Migrate it?"); err != nil {
			return err
		}
		task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.MigrateSiteResponse, error) {
			return c.restores.MigrateSite(ctx, q)
		})
		if err != nil {
			return err
		}
		return a.finish(ctx, c, task, how.detach)
	})
	return cmd
}
