package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// stdio is what a command reads from and writes to: results to out, everything else to err.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// app is what all commands share: the global flags, and the world outside.
type app struct {
	stdio
	getenv func(string) string
	now    func() time.Time

	// The global flags, with the environment and the defaults once a command runs.
	dataDir   string
	address   string
	tokenFile string
	output    outputFormat

	// patience is for how long a follower tries to find a master that has gone away.
	patience time.Duration
	// started is set when a command's own code runs: what fails before that is wrong usage.
	started bool
}

const (
	defaultDataDir  = "/var/lib/sitekeep"
	defaultPatience = 5 * time.Minute
)

func newApp(std stdio) *app {
	return &app{stdio: std, getenv: os.Getenv, now: time.Now, patience: defaultPatience}
}

// run is the whole program but for its exit: it returns what exitStatus and reportError understand.
func run(ctx context.Context, args []string, std stdio) error {
	return newApp(std).run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) error {
	root := newRootCmd(a)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	var classified *errs.Error
	switch {
	case err == nil:
		return nil
	case !a.started && !errors.As(err, &classified):
		return usageError(cmd.CommandPath(), "%s", strings.TrimSpace(err.Error()))
	case ctx.Err() != nil && errs.Is(err, errs.Cancelled):
		return &interrupted{}
	}
	return err
}

const rootLong = `Sitekeep backs up and restores web sites that are spread over many servers.

The commands talk to the master: through the socket in its data directory on the same machine,
or, with --address and an API token, from elsewhere.

Results go to standard output, progress and log to standard error. A table's heading is printed
on a terminal only. Off a terminal nothing is asked: commands do what they are told.

Exit status:
  0    done
  1    failed, with what to do next
  2    wrong usage
  3    not found
  4    another task holds the site
  5    an agent or the master cannot be reached
  6    done, with warnings; of several sites, some failed
  7    not permitted
  130  interrupted (Ctrl-C); a task that was followed goes on

Environment:
  SITEKEEP_DATA_DIR  stands for --data-dir
  SITEKEEP_ADDRESS   stands for --address
  SITEKEEP_TOKEN     the API token that goes with an address`

func newRootCmd(a *app) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "sitekeep",
		Short: "Back up and restore web sites",
		Long:  rootLong,
		Example: `  sitekeep backup example.com -m "before the update"
  sitekeep backups example.com
  sitekeep restore example.com latest`,
	})
	root.SilenceErrors, root.SilenceUsage, root.DisableAutoGenTag = true, true, true
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}", 1))
	flags := root.PersistentFlags()
	flags.StringVar(&a.dataDir, "data-dir", defaultDataDir, "`directory` of the master on this machine")
	flags.StringVar(&a.address, "address", "", "`host:port` of a master elsewhere (its gRPC port, 7440)")
	flags.StringVar(&a.tokenFile, "token-file", "", "`file` with the API token that goes with --address")
	flags.VarP(&a.output, "output", "o", "table or json")
	root.AddCommand(
		newInitCmd(a), newServeCmd(a), newServerCmd(a), newSiteCmd(a),
		newBackupCmd(a), newBackupsCmd(a), newLsCmd(a), newCatCmd(a), newDiffCmd(a), newDownloadCmd(a), newCheckCmd(a),
		newDeleteCmd(a), newPinCmd(a), newUnpinCmd(a),
		newRestoreCmd(a), newDeployCmd(a), newImportCmd(a), newCloneCmd(a), newMigrateCmd(a), newDrillCmd(a),
		newScheduleCmd(a), newRetentionCmd(a), newPruneCmd(a), newClientCmd(a), newApplyCmd(a), newExportCmd(a),
		newCatalogueCmd(a), newTaskCmd(a), newTokenCmd(a), newUserCmd(a), newWhoamiCmd(a), newVersionCmd(a), newManCmd(a),
	)
	root.SetHelpCommand(newHelpCmd())
	root.InitDefaultCompletionCmd("completion")
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			group(cmd).Example = "  sitekeep completion bash > /etc/bash_completion.d/sitekeep"
		}
	}
	a.arm(root)
	return root
}

// newHelpCmd is cobra's help command, with an error for what does not exist.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command", Example: "  sitekeep help site add", Args: arguments(0, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError("sitekeep", "there is no help for %q", strings.Join(args, " "))
			}
			return about.Help()
		},
	}
}

// group makes a command that only holds others refuse to be called by itself.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path := cmd.CommandPath()
		if len(args) == 0 {
			return usageError(path, "%s needs a command", path)
		}
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return errs.New(errs.Usage, "did you mean: "+path+" "+near[0], "unknown command %q for %s", args[0], path)
		}
		return usageError(path, "unknown command %q for %s", args[0], path)
	}
	return cmd
}

// arm prepares every command below cmd for run.
func (a *app) arm(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.arm(sub)
	}
	if do := cmd.RunE; do != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.started = true
			a.settle(cmd)
			return do(cmd, args)
		}
	}
}

// settle lets the environment stand for global flags that were not given. A flag beats the environment, so
// --data-dir beats SITEKEEP_ADDRESS too.
func (a *app) settle(cmd *cobra.Command) {
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	if !given("address") && !given("data-dir") {
		a.address = a.getenv("SITEKEEP_ADDRESS")
	}
	if dir := a.getenv("SITEKEEP_DATA_DIR"); dir != "" && !given("data-dir") {
		a.dataDir = dir
	}
}
