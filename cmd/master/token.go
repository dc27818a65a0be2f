package main

import (
	"context"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newTokenCmd(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "token",
		Short: "API tokens, with which this program and others call from elsewhere",
		Example: `  sitekeep token create ci --role operator
  sitekeep token list`,
	})
	cmd.AddCommand(newTokenCreateCmd(a), newTokenListCmd(a), newTokenRevokeCmd(a))
	return cmd
}

func newTokenCreateCmd(a *app) *cobra.Command {
	request := &sitekeepv1.CreateApiTokenRequest{}
	cmd := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Make an API token",
		Long: `Make an API token. It is printed once, alone on its line, and holds a secret and the fingerprint of the master's CA.
Elsewhere, put it into SITEKEEP_TOKEN or a file for --token-file, and the master's address into SITEKEEP_ADDRESS.

The roles: a viewer sees, an operator backs up and restores too, an admin does everything.`,
		Example: `  sitekeep token create ci --role operator > token
  SITEKEEP_ADDRESS=backup.example:7440 sitekeep --token-file token backups`,
		Args: arguments(1, 1),
	}
	cmd.Flags().StringVar(&request.Role, "role", "", "admin, operator or viewer")
	cmd.Flags().StringVar(&request.Client, "client", "", "only the sites of this `customer`")
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if request.Role == "" {
			return usageError("sitekeep token create", "say what %s may do: --role admin, operator or viewer", args[0])
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		request.Name = args[0]
		r, err := c.access.CreateApiToken(ctx, request)
		if err != nil {
			return err
		}
		return a.printText(r, r.GetToken())
	})
	return cmd
}

func newTokenListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List API tokens, without their secrets", Args: arguments(0, 0),
		Example: "  sitekeep token list",
		RunE: a.call(func(ctx context.Context, c *client, _ []string) error {
			r, err := c.access.ListApiTokens(ctx, &sitekeepv1.ListApiTokensRequest{})
			if err != nil {
				return err
			}
			return printList(a, r.GetApiTokens(), "NAME|ROLE|CLIENT|CREATED|REVOKED", func(t *sitekeepv1.ApiToken) []string {
				return []string{t.GetName(), t.GetRole(), orDash(t.GetClient()), localTime(t.GetCreatedAt()), yesNo(t.GetRevoked())}
			})
		}),
	}
}

func newTokenRevokeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End an API token at once", Args: arguments(1, 1),
		Example:           "  sitekeep token revoke ci",
		ValidArgsFunction: a.complete(tokenNames),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			r, err := c.access.RevokeApiToken(ctx, &sitekeepv1.RevokeApiTokenRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.printText(r.GetApiToken(), r.GetApiToken().GetName())
		}),
	}
}

func newWhoamiCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Say as whom the master sees you", Args: arguments(0, 0),
		Long:    "Say as whom the master sees you, what you may do, and which version it runs.",
		Example: "  sitekeep whoami\n  SITEKEEP_ADDRESS=backup.example sitekeep --token-file token whoami",
		RunE: a.call(func(ctx context.Context, c *client, _ []string) error {
			r, err := c.access.GetCaller(ctx, &sitekeepv1.GetCallerRequest{Methods: true})
			if err != nil {
				return err
			}
			return a.printFacts(r, facts{{"name", r.GetName()}, {"role", r.GetRole()}, {"client", r.GetClient()}, {"master", r.GetVersion()}})
		}),
	}
}
