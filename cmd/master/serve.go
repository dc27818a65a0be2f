package main

import (
	"fmt"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/master"
	"github.com/sitekeep/sitekeep/internal/pace"
)

func newServeCmd(a *app) *cobra.Command {
	level, json := "info", false
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the master",
		Long: `Run the master in the foreground.

It prints "ready" on standard output, and tells systemd, when it serves; its log goes to standard
error. SIGTERM and SIGINT end it in order: tasks that run are told, and go on at the next start.`,
		Example: "  sitekeep serve --data-dir /var/lib/sitekeep",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := a.serverLog(level, json)
			if err != nil {
				return err
			}
			return a.serve(cmd, log)
		},
	}
	cmd.Flags().StringVar(&level, "log-level", level, "debug, info, warn or error")
	cmd.Flags().BoolVar(&json, "log-json", false, "write the log as JSON, a line each")
	return cmd
}

func (a *app) serverLog(level string, json bool) (hclog.Logger, error) {
	l := hclog.LevelFromString(level)
	if l == hclog.NoLevel {
		return nil, errs.New(errs.Usage, "give debug, info, warn or error", "there is no log level %q", level)
	}
	return hclog.New(&hclog.LoggerOptions{Name: "sitekeep", Level: l, JSONFormat: json, Output: a.err}), nil
}

func (a *app) serve(cmd *cobra.Command, log hclog.Logger) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	pace.Daemon(4 << 20)
	m, err := master.Open(ctx, master.Options{
		DataDir: a.dataDir, Version: buildVersion(), Log: log, Now: a.now,
		Ready: func() {
			fmt.Fprintln(a.out, "ready")
			notify(log, daemon.SdNotifyReady)
		},
		Nice: func(niceness int) {
			if err := pace.Nice(niceness); err != nil {
				log.Warn("the master keeps its priority", "error", err)
			}
		},
		Stopping: func() { notify(log, daemon.SdNotifyStopping) },
	})
	if err != nil {
		return err
	}
	if err := m.Run(ctx); err != nil {
		_ = m.Close() // the error of Run is the one that tells why
		return err
	}
	return m.Close()
}

// notify tells systemd, if it has started us.
func notify(log hclog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("telling systemd", "state", state, "error", err)
	}
}
