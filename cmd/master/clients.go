package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"

	"github.com/sitekeep/sitekeep/internal/bytesize"
)

func newClientCmd(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "client",
		Short: "Clients: customers that own sites, and what bounds them",
		Long: `Clients: customers that own sites, and what bounds them. A client is there as soon as a site, a retention or a limit names
it, so that "sitekeep site add --client NAME" needs nothing else; without limits nothing bounds it.`,
		Example: `  sitekeep client list
  sitekeep client set acme --max-tasks 2 --max-size 500GiB`,
	})
	cmd.AddCommand(newClientListCmd(a), newClientShowCmd(a), newClientSetCmd(a), newClientRemoveCmd(a))
	return cmd
}

func newClientListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List clients, with what they have and what bounds them", Args: arguments(0, 0),
		Example: "  sitekeep client list",
		RunE: a.call(func(ctx context.Context, c *client, _ []string) error {
			r, err := c.clients.ListClients(ctx, &sitekeepv1.ListClientsRequest{})
			if err != nil {
				return err
			}
			return printList(a, r.GetClients(), "NAME|SITES|BACKUPS|SIZE|MAX SIZE|MAX TASKS", func(one *sitekeepv1.Client) []string {
				return []string{one.GetName(), fmt.Sprint(one.GetSites()), fmt.Sprint(one.GetBackups()), bytesize.Text(one.GetBackupBytes()),
					sizeText(one.GetMaxSize()), countText(one.GetMaxTasks())}
			})
		}),
	}
}

func countText(n int32) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func newClientShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a client", Args: arguments(1, 1),
		Example:           "  sitekeep client show acme",
		ValidArgsFunction: a.complete(clientNames),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			r, err := c.clients.GetClient(ctx, &sitekeepv1.GetClientRequest{Name: args[0]})
			if err != nil {
				return err
			}
			one := r.GetClient()
			return a.printFacts(one, facts{
				{"name", one.GetName()}, {"sites", fmt.Sprint(one.GetSites())},
				{"backups", fmt.Sprintf("%d (%s)", one.GetBackups(), bytesize.Text(one.GetBackupBytes()))},
				{"most bytes", sizeText(one.GetMaxSize())}, {"most tasks at once", countText(one.GetMaxTasks())},
			})
		}),
	}
}

func newClientSetCmd(a *app) *cobra.Command {
	var tasks int32
	var size byteSize
	cmd := &cobra.Command{
		Use:   "set NAME [--max-tasks N] [--max-size S]",
		Short: "Make a client, or change what bounds it",
		Long: `Make a client, or change what bounds it. What is not given stays; 0 takes a bound back. The size budget is the one that
"sitekeep retention set --client NAME --max-size" sets too: beyond it the client's oldest backups go.`,
		Example:           "  sitekeep client set acme --max-tasks 2 --max-size 500GiB",
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(clientNames),
	}
	cmd.Flags().Int32Var(&tasks, "max-tasks", 0, "how many tasks of its sites may run `N` at once")
	cmd.Flags().Var(&size, "max-size", "`bytes` that its backups may take, such as 500GiB")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q := &sitekeepv1.SetClientRequest{Name: args[0]}
		if cmd.Flags().Changed("max-tasks") {
			q.MaxTasks = &tasks
		}
		if cmd.Flags().Changed("max-size") {
			n := int64(size)
			q.MaxSize = &n
		}
		return a.call(func(ctx context.Context, c *client, _ []string) error {
			r, err := c.clients.SetClient(ctx, q)
			if err != nil {
				return err
			}
			return a.printText(r.GetClient(), r.GetClient().GetName())
		})(cmd, args)
	}
	return cmd
}

func newClientRemoveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Forget a client that owns no sites, and what bounds it", Args: arguments(1, 1),
		Example:           "  sitekeep client remove acme",
		ValidArgsFunction: a.complete(clientNames),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			_, err := c.clients.DeleteClient(ctx, &sitekeepv1.DeleteClientRequest{Name: args[0]})
			return err
		}),
	}
}

func clientNames(ctx context.Context, c *client) ([]string, error) {
	r, err := c.clients.ListClients(ctx, &sitekeepv1.ListClientsRequest{})
	return names(r.GetClients(), (*sitekeepv1.Client).GetName), err
}
