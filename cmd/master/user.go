package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newUserCmd(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "user",
		Short: "People who sign in to the pages",
		Example: `  sitekeep user add ada --role admin
  sitekeep user list`,
	})
	cmd.AddCommand(newUserAddCmd(a), newUserListCmd(a), newUserPasswdCmd(a), newUserRemoveCmd(a))
	return cmd
}

func newUserAddCmd(a *app) *cobra.Command {
	request := &sitekeepv1.CreateUserRequest{}
	cmd := &cobra.Command{
		Use:   "add NAME --role ROLE",
		Short: "Let somebody sign in",
		Long: `Let somebody sign in to the pages. The password is asked for twice on a terminal; otherwise it is the first line of
standard input. It has at least 10 characters.

The roles: a viewer sees, an operator backs up and restores too, an admin does everything.`,
		Example: `  sitekeep user add ada --role admin
  sitekeep user add bob --role operator --client acme < password`,
		Args: arguments(1, 1),
	}
	cmd.Flags().StringVar(&request.Role, "role", "", "admin, operator or viewer")
	cmd.Flags().StringVar(&request.Client, "client", "", "only the sites of this `customer`")
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if request.Role == "" {
			return usageError("sitekeep user add", "say what %s may do: --role admin, operator or viewer", args[0])
		}
		return nil
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) (err error) {
		request.Name = args[0]
		if request.Password, err = a.newPassword(args[0]); err != nil {
			return err
		}
		r, err := c.users.CreateUser(ctx, request)
		if err != nil {
			return err
		}
		return a.printText(r.GetUser(), r.GetUser().GetName())
	})
	return cmd
}

func newUserListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List users", Args: arguments(0, 0),
		Example: "  sitekeep user list",
		RunE: a.call(func(ctx context.Context, c *client, _ []string) error {
			r, err := c.users.ListUsers(ctx, &sitekeepv1.ListUsersRequest{})
			if err != nil {
				return err
			}
			return printList(a, r.GetUsers(), "NAME|ROLE|CLIENT|CREATED|PASSWORD SET", func(u *sitekeepv1.User) []string {
				return []string{u.GetName(), u.GetRole(), orDash(u.GetClient()), localTime(u.GetCreatedAt()), localTime(u.GetChangedAt())}
			})
		}),
	}
}

func newUserPasswdCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "passwd NAME", Short: "Set a user's password, and end the sessions", Args: arguments(1, 1),
		Long: `Set a user's password, and end the sessions. It is asked for twice on a terminal; otherwise it is the first line of
standard input.`,
		Example:           "  sitekeep user passwd ada",
		ValidArgsFunction: a.complete(userNames),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			password, err := a.newPassword(args[0])
			if err != nil {
				return err
			}
			r, err := c.users.SetUserPassword(ctx, &sitekeepv1.SetUserPasswordRequest{Name: args[0], Password: password})
			if err != nil {
				return err
			}
			return a.printText(r.GetUser(), r.GetUser().GetName())
		}),
	}
}

func newUserRemoveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Remove a user, and end the sessions", Args: arguments(1, 1),
		Example:           "  sitekeep user remove ada",
		ValidArgsFunction: a.complete(userNames),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			r, err := c.users.DeleteUser(ctx, &sitekeepv1.DeleteUserRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.printText(r, args[0])
		}),
	}
}

func userNames(ctx context.Context, c *client) (names []string, err error) {
	r, err := c.users.ListUsers(ctx, &sitekeepv1.ListUsersRequest{})
	for _, u := range r.GetUsers() {
		names = append(names, u.GetName())
	}
	return names, err
}

// newPassword asks for a password twice on a terminal, without showing it; otherwise it reads a line.
func (a *app) newPassword(user string) (string, error) {
	in, ok := a.in.(*os.File)
	if !ok || !isTerminal(in) {
		return a.pipedPassword()
	}
	first, err := a.askPassword(in, "Password of "+user+": ")
	if err != nil {
		return "", err
	}
	again, err := a.askPassword(in, "The same again: ")
	if err == nil && first != again {
		err = errs.New(errs.Usage, "begin again", "the two passwords differ; nothing was done")
	}
	return first, err
}

func (a *app) askPassword(in *os.File, prompt string) (string, error) {
	fmt.Fprint(a.err, prompt)
	defer fmt.Fprintln(a.err)
	text, err := term.ReadPassword(int(in.Fd()))
	if err != nil {
		return "", errs.New(errs.Cancelled, "begin again", "no password was given: %w", err)
	}
	return string(text), nil
}

func (a *app) pipedPassword() (string, error) {
	const longest = 4096
	line, err := bufio.NewReader(io.LimitReader(a.in, longest)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errs.New(errs.Usage, "give it as the first line of standard input, or run the command on a terminal", "there is no password")
	}
	return line, nil
}
