package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"

	"github.com/sitekeep/sitekeep/internal/bytesize"
)

func newServerCmd(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "server",
		Short: "Servers: machines with an agent",
		Example: `  sitekeep server token web1 --role web
  sitekeep server check web1`,
	})
	cmd.AddCommand(newServerTokenCmd(a), newServerListCmd(a), newServerShowCmd(a), newServerCheckCmd(a), newServerRevokeCmd(a))
	return cmd
}

func newServerTokenCmd(a *app) *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use:   "token NAME --role web|db",
		Short: "Make a token with which a new server joins",
		Long: `Make a token with which a server joins once, under this name. It is printed alone on its line.
It holds a secret: hand it over as you would a password. A server that has joined already joins
anew with it, and gets a new certificate.`,
		Example: `  sitekeep server token web1 --role web
  sitekeep server token all-in-one --role web --role db`,
		Args: arguments(1, 1),
	}
	cmd.Flags().StringSliceVar(&roles, "role", nil, "what the server has: web, db, or both (repeat it)")
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if len(roles) == 0 {
			return usageError("sitekeep server token", "say what %s has: --role web, --role db or both", args[0])
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		r, err := c.servers.CreateJoinToken(ctx, &sitekeepv1.CreateJoinTokenRequest{Name: args[0], Roles: roles})
		if err != nil {
			return err
		}
		if isTerminal(a.err) {
			fmt.Fprintf(a.err, "good once, until %s; on %s run: sitekeep-agent join --token TOKEN --data-dir /var/lib/sitekeep-agent\n",
				localTime(r.GetExpiresAt()), args[0])
		}
		return a.printText(r, r.GetToken())
	})
	return cmd
}

func newServerListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List servers", Args: arguments(0, 0),
		Example: "  sitekeep server list\n  sitekeep server list -o json",
		RunE: a.call(func(ctx context.Context, c *client, _ []string) error {
			r, err := c.servers.ListServers(ctx, &sitekeepv1.ListServersRequest{})
			if err != nil {
				return err
			}
			return printList(a, r.GetServers(), "NAME|ROLES|ADDRESS|STATE|JOINED|CERTIFICATE UNTIL", func(s *sitekeepv1.Server) []string {
				return []string{s.GetName(), strings.Join(s.GetRoles(), ","), serverAddress(s), serverState(s),
					localTime(s.GetJoinedAt()), localTime(s.GetCertificateNotAfter())}
			})
		}),
	}
}

func serverAddress(s *sitekeepv1.Server) string {
	if s.GetDialOut() {
		return "(dials out)"
	}
	return orDash(s.GetAddress())
}

func serverState(s *sitekeepv1.Server) string {
	switch {
	case s.GetRevoked():
		return "revoked"
	case s.GetJoinedAt() == nil:
		return "invited"
	}
	return "joined"
}

func newServerShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a server", Args: arguments(1, 1),
		Example:           "  sitekeep server show web1",
		ValidArgsFunction: a.complete(serverNames),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			r, err := c.servers.GetServer(ctx, &sitekeepv1.GetServerRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.printFacts(r.GetServer(), serverFacts(r.GetServer()))
		}),
	}
}

func serverFacts(s *sitekeepv1.Server) facts {
	return facts{
		{"name", s.GetName()}, {"roles", strings.Join(s.GetRoles(), ", ")}, {"address", serverAddress(s)},
		{"state", serverState(s)}, {"joined", localTime(s.GetJoinedAt())},
		{"certificate until", localTime(s.GetCertificateNotAfter())},
	}
}

func newServerCheckCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check NAME",
		Short: "Ask a server's agent how it is",
		Long: `Call a server's agent and print what it says.

Exit status: 0 all is well; 3 there is no such server; 5 the agent cannot be reached; 6 it reports problems.`,
		Example:           "  sitekeep server check web1",
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(serverNames),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			r, err := c.servers.CheckServer(ctx, &sitekeepv1.CheckServerRequest{Name: args[0]})
			if err != nil {
				return err
			}
			if err := a.printFacts(r, checkFacts(r)); err != nil {
				return err
			}
			if n := int64(len(r.GetProblems())); n > 0 {
				return &warned{text: fmt.Sprintf("server %s has %s", args[0], plural(n, "problem")),
					hint: "mend them in the agent's agent.yaml or on the server, and check again"}
			}
			return nil
		}),
	}
}

func checkFacts(r *sitekeepv1.CheckServerResponse) facts {
	f := append(serverFacts(r.GetServer()), facts{
		{"hostname", r.GetHostname()}, {"agent", r.GetVersion()}, {"web server", r.GetWebserver()},
		{"database server", r.GetDatabaseServer()}, {"database address", r.GetDatabaseAddress()},
		{"dump program", r.GetDumpProgram()},
	}...)
	for _, root := range r.GetRoots() {
		f = append(f, [2]string{"root", root.GetPath() + " (" + freeText(root.GetFreeBytes()) + " free)"})
	}
	for _, problem := range r.GetProblems() {
		f = append(f, [2]string{"problem", problem})
	}
	return f
}

func freeText(n uint64) string { return bytesize.Text(int64(min(n, 1<<62))) }

func newServerRevokeCmd(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "Refuse a server from now on",
		Long: `Refuse a server's certificates from now on and end its connections. Its sites stay listed, and can be
neither backed up nor restored until it joins anew with a new token.`,
		Example:           "  sitekeep server revoke web1 --yes",
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(serverNames),
	}
	yesFlag(cmd, &yes)
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		found, err := c.servers.GetServer(ctx, &sitekeepv1.GetServerRequest{Name: args[0]})
		if err != nil {
			return err
		}
		explanation := fmt.Sprintf("Server %s (%s) will be refused until it joins anew.", printable(args[0]),
			printable(serverAddress(found.GetServer())))
		if err := a.confirm(ctx, yes, explanation, "Revoke it?"); err != nil {
			return err
		}
		r, err := c.servers.RevokeServer(ctx, &sitekeepv1.RevokeServerRequest{Name: args[0]})
		if err != nil {
			return err
		}
		return a.printText(r.GetServer(), r.GetServer().GetName())
	})
	return cmd
}

func yesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVarP(yes, "yes", "y", false, "do not ask on a terminal (elsewhere nothing is asked)")
}
