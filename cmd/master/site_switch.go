package main

import (
	"context"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newSiteEnableCmd(a *app) *cobra.Command {
	return siteSwitch(a, &cobra.Command{
		Use:   "enable NAME",
		Short: "Let visitors of a disabled site in, and schedules back it up again",
		Long: `Let visitors of a site in that "sitekeep site disable" has taken offline, and schedules and "sitekeep backup --all" back it
up again. Nothing else of it has changed meanwhile.`,
		Example: "  sitekeep site enable example.com",
	}, func(ctx context.Context, c *client, name string, queue bool) (taskReply, error) {
		return c.sites.EnableSite(ctx, &sitekeepv1.EnableSiteRequest{Name: name, Queue: queue})
	})
}

func newSiteDisableCmd(a *app) *cobra.Command {
	return siteSwitch(a, &cobra.Command{
		Use:   "disable NAME",
		Short: "Take a site offline: visitors get the maintenance page",
		Long: `Take a site offline: visitors get the maintenance page (503) until "sitekeep site enable", whatever reloads, verifications
and restores come meanwhile. Its files, its database and its backups stay. Schedules, "sitekeep backup --all" and globs
leave it out; "sitekeep backup NAME" still backs it up.

Where visitors cannot be kept out, because the virtual host is not managed and lacks the line that includes Sitekeep's
maintenance, nothing is changed, and the error names the line.`,
		Example: "  sitekeep site disable example.com",
	}, func(ctx context.Context, c *client, name string, queue bool) (taskReply, error) {
		return c.sites.DisableSite(ctx, &sitekeepv1.DisableSiteRequest{Name: name, Queue: queue})
	})
}

// taskReply is an answer with a task that has been begun.
type taskReply interface{ GetTask() *sitekeepv1.Task }

func siteSwitch(a *app, cmd *cobra.Command, call func(ctx context.Context, c *client, name string, queue bool) (taskReply, error)) *cobra.Command {
	var how taskFlags
	cmd.Args, cmd.ValidArgsFunction = arguments(1, 1), a.complete(siteNames)
	how.add(cmd, true)
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		task, err := begin(ctx, func(ctx context.Context) (taskReply, error) { return call(ctx, c, args[0], how.queue) })
		if err != nil {
			return err
		}
		return a.finish(ctx, c, task, how.detach)
	})
	return cmd
}
