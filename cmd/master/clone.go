package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newCloneCmd(a *app) *cobra.Command {
	var (
		how    taskFlags
		yes    bool
		dryRun bool
		backup string
	)
	site := &sitekeepv1.Site{}
	cmd := &cobra.Command{
		Use:   "clone SITE NEWNAME",
		Short: "Make a second site of one, under another name",
		Long: `Make a second site of one, under another name: the site is backed up, and a new site is made of that, with a directory, a
database, a user and a virtual host of its own. The first site stays as it is.

What is not given is as the first site has it; in the root and the docroot its name is replaced by the new one. Aliases are
not taken over. The name and the directories are rewritten in the settings and, as whole addresses, in the database, in
PHP-serialised values too. Where they are computed, or stand in other files, they stay.

If anything fails, nothing of the new site is left.`,
		Example: `  sitekeep clone example.com test.example.com
  sitekeep clone example.com test.example.com --dry-run
  sitekeep clone example.com test.example.com --web web2 --db db2 --alias www.test.example.com
  sitekeep clone example.com old.example.com --backup example.com-20261123.001336 --root /srv/www/old`,
		Args:              arguments(2, 2),
		ValidArgsFunction: a.complete(siteNames),
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&site.WebServers, "web", nil, "web `servers` of the new site, by commas")
	flags.StringVar(&site.DbServer, "db", "", "database `server` of the new site")
	flags.StringVar(&site.Root, "root", "", "absolute `directory` of the new site")
	flags.StringVar(&site.Docroot, "docroot", "", "absolute `directory` that is served of it")
	flags.StringArrayVar(&site.Aliases, "alias", nil, "another `domain` of the new site (repeat it)")
	flags.StringVar(&site.Client, "client", "", "the `customer` that owns the new site")
	flags.StringVar(&backup, "backup", "", "make it of this `backup` instead of a new one")
	yesFlag(cmd, &yes)
	how.add(cmd, true)
	dryRunFlag(cmd, &dryRun)
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		site.Name = strings.ToLower(args[1])
		q := &sitekeepv1.CloneSiteRequest{Site: args[0], NewSite: site, Backup: backup, Queue: how.queue, DryRun: dryRun}
		if dryRun {
			r, err := c.restores.CloneSite(ctx, q)
			if err != nil {
				return err
			}
			return a.preview(r.GetPlan())
		}
		explanation := fmt.Sprintf("This makes a new site %s of %s, which stays as it is.", printable(site.GetName()), printable(args[0]))
		if err := a.confirm(ctx, yes, explanation, "Clone it?"); err != nil {
			return err
		}
		task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.CloneSiteResponse, error) {
			return c.restores.CloneSite(ctx, q)
		})
		if err != nil {
			return err
		}
		return a.finish(ctx, c, task, how.detach)
	})
	return cmd
}
