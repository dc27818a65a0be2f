package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/errs"
)

const defaultDataDir = "/var/lib/sitekeep-agent"

// run runs one command and tells what went wrong on standard error.
func run(ctx context.Context, args []string, io stdio) error {
	begun := false
	root := newRoot(io)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		err := cmd.ValidateFlagGroups() // cobra would do it later
		begun = err == nil
		return err
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !begun { // what cobra itself refuses
		err = errs.New(errs.Usage, "see sitekeep-agent --help", "%w", err)
	}
	if err != nil {
		report(io.err, err)
	}
	return err
}

func newRoot(io stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "sitekeep-agent",
		Short: "Serve a Sitekeep master on a web server or database server",
		Long: `sitekeep-agent runs on each web server and database server. It joins a Sitekeep
master once, with a token, and then does what that master asks of it: it streams
site files and dumps up for a backup and down for a restore. It keeps no backup
data, and touches nothing outside of what its agent.yaml allows.`,
		Example: `  sitekeep-agent join --token skj_...
  cp /var/lib/sitekeep-agent/agent.yaml.sample /var/lib/sitekeep-agent/agent.yaml
  sitekeep-agent serve`,
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.AddCommand(newJoin(io), newServe(io), newVersion(io))
	return root
}

// dataDirFlag gives a command the flag that all of them share.
func dataDirFlag(cmd *cobra.Command, dir *string) {
	standard := os.Getenv("SITEKEEP_DATA_DIR")
	if standard == "" {
		standard = defaultDataDir
	}
	cmd.Flags().StringVar(dir, "data-dir", standard, "directory of identity and agent.yaml; also SITEKEEP_DATA_DIR")
}

// report writes an error and what to do about it.
func report(w io.Writer, err error) {
	_, _ = fmt.Fprintf(w, "sitekeep-agent: %v\n", err)
	if hint := errs.HintOf(err); hint != "" {
		_, _ = fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

// exitStatus is what scripts rely on: 0 done, 1 failed, 2 wrong usage, 3 not found, 5 the master cannot be reached,
// 7 not permitted.
func exitStatus(err error) int {
	if err == nil || errors.Is(err, context.Canceled) {
		return 0
	}
	switch errs.KindOf(err) {
	case errs.Usage:
		return 2
	case errs.NotFound:
		return 3
	case errs.Busy:
		return 4
	case errs.Unreachable:
		return 5
	case errs.Permission:
		return 7
	}
	return 1
}
