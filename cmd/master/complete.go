package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// source lists the values that an argument may have, for the shell's completion.
type source func(context.Context, *client) ([]string, error)

const (
	completeTimeout = 2 * time.Second // a shell waits for it
	completeLimit   = 200
)

// complete asks the master for the values of arguments: the first source for the first argument and so on, the last one
// for the rest. It says nothing when it cannot.
func (a *app) complete(sources ...source) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		a.settle(cmd)
		ctx, cancel := context.WithTimeout(context.Background(), completeTimeout)
		defer cancel()
		c, err := a.connect(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.conn.Close() // nothing is buffered in it that could be lost
		values, err := sources[min(len(args), len(sources)-1)](ctx, c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

func siteNames(ctx context.Context, c *client) ([]string, error) {
	r, err := c.sites.ListSites(ctx, &sitekeepv1.ListSitesRequest{})
	return names(r.GetSites(), (*sitekeepv1.Site).GetName), err
}

func serverNames(ctx context.Context, c *client) ([]string, error) {
	r, err := c.servers.ListServers(ctx, &sitekeepv1.ListServersRequest{})
	return names(r.GetServers(), (*sitekeepv1.Server).GetName), err
}

func backupIDs(ctx context.Context, c *client) ([]string, error) {
	r, err := c.backups.ListBackups(ctx, &sitekeepv1.ListBackupsRequest{PageSize: completeLimit})
	return names(r.GetBackups(), (*sitekeepv1.Backup).GetId), err
}

func taskIDs(ctx context.Context, c *client) ([]string, error) {
	r, err := c.tasks.ListTasks(ctx, &sitekeepv1.ListTasksRequest{PageSize: completeLimit})
	return names(r.GetTasks(), (*sitekeepv1.Task).GetId), err
}

func tokenNames(ctx context.Context, c *client) ([]string, error) {
	r, err := c.access.ListApiTokens(ctx, &sitekeepv1.ListApiTokensRequest{})
	return names(r.GetApiTokens(), (*sitekeepv1.ApiToken).GetName), err
}

func names[T any](items []T, name func(T) string) []string {
	list := make([]string, 0, len(items))
	for _, item := range items {
		list = append(list, name(item))
	}
	return list
}
