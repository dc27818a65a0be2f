package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// lastDescription is that of a site's last backup, as Aegir words it.
const lastDescription = "Pre-delete backup"

type removeOptions struct{ yes, noBackup, queue bool }

func newSiteRemoveCmd(a *app) *cobra.Command {
	o := &removeOptions{}
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Take a site out of care, after a last backup",
		Long: `Take a site out of care, after a last backup of it. Its files, its database and its backups stay where they are, and so does
a managed vhost. The last backup is not pinned: retention keeps a site's last good backup in any case.

A site that cannot be backed up is not removed; with --no-backup it is. On a terminal the site's name is asked for;
elsewhere, or with --yes, it is not.`,
		Example: `  sitekeep site remove example.com
  sitekeep site remove example.com --yes --no-backup`,
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(siteNames),
	}
	yesFlag(cmd, &o.yes)
	cmd.Flags().BoolVar(&o.noBackup, "no-backup", false, "take no last backup")
	cmd.Flags().BoolVar(&o.queue, "queue", false, "wait for the site if another task holds it, instead of ending with 4")
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error { return a.removeSite(ctx, c, o, args[0]) })
	return cmd
}

func (a *app) removeSite(ctx context.Context, c *client, o *removeOptions, name string) error {
	found, err := c.sites.GetSite(ctx, &sitekeepv1.GetSiteRequest{Name: name})
	if err != nil {
		return err
	}
	explanation := fmt.Sprintf("Site %s will not be backed up any more. Its files, its database and its %s stay.",
		printable(name), plural(found.GetSite().GetBackups(), "backup"))
	if !o.noBackup {
		explanation += " A last backup is taken first."
	}
	if err := a.confirmName(ctx, o.yes, explanation, name); err != nil {
		return err
	}
	var last error
	if !o.noBackup {
		last = a.lastBackup(ctx, c, o, name)
	}
	if last != nil && exitStatus(last) != exitWarnings {
		return last
	}
	r, err := c.sites.DeleteSite(ctx, &sitekeepv1.DeleteSiteRequest{Name: name})
	if err != nil {
		return err
	}
	if err := a.printText(r, fmt.Sprintf("%s: removed, %s kept", name, plural(r.GetBackupsKept(), "backup"))); err != nil {
		return err
	}
	return last
}

// lastBackup backs up what somebody may remove who can: nobody else's attempt costs a backup.
func (a *app) lastBackup(ctx context.Context, c *client, o *removeOptions, name string) error {
	who, err := c.access.GetCaller(ctx, &sitekeepv1.GetCallerRequest{})
	if err != nil {
		return err
	}
	if who.GetRole() != "admin" {
		return errs.New(errs.Permission, "ask an admin", "%s may not remove sites", printable(who.GetName()))
	}
	task, err := begin(ctx, func(ctx context.Context) (*sitekeepv1.CreateBackupResponse, error) {
		return c.backups.CreateBackup(ctx, &sitekeepv1.CreateBackupRequest{Site: name, Description: lastDescription, Queue: o.queue})
	})
	if err == nil {
		if task, err = a.follow(ctx, c, task); err != nil {
			return err
		}
		err = outcome(task)
	}
	if err == nil || exitStatus(err) == exitWarnings {
		return err
	}
	return fmt.Errorf("%s stays, without a last backup (--no-backup removes it): %w", printable(name), err)
}
