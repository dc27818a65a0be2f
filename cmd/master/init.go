package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/master"
)

func newInitCmd(a *app) *cobra.Command {
	var name string
	listen, http := master.DefaultListen, master.DefaultHTTP
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Prepare a data directory for a master",
		Long: `Prepare a data directory: a certificate authority, an empty store, and master.yaml.

The name is the host name under which agents reach this machine; join tokens carry it together
with the listen address.`,
		Example: `  sitekeep init --data-dir /var/lib/sitekeep --name backup.example.com
  sitekeep init --data-dir /srv/sitekeep --listen 192.0.2.10:7440 --http 192.0.2.10:7480`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if name == "" {
				host, err := os.Hostname()
				if err != nil {
					return errs.New(errs.Usage, "give --name HOST", "the host's name is not known: %w", err)
				}
				name = host
			}
			if err := master.Init(a.dataDir, master.NewConfig(name, listen, http), a.now()); err != nil {
				return err
			}
			fmt.Fprintf(a.err, "prepared %s; run it with: sitekeep serve --data-dir %s\n", a.dataDir, a.dataDir)
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`host` name under which agents reach the master (default: this machine's)")
	cmd.Flags().StringVar(&listen, "listen", listen, "`address` for agents and the API")
	cmd.Flags().StringVar(&http, "http", http, "`address` of the pages (https) and the health page; empty for none")
	return cmd
}
