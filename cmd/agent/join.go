package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/agent/link"
	"github.com/sitekeep/sitekeep/internal/errs"
)

// maxTokenFile bounds what is read where a token is expected.
const maxTokenFile = 64 << 10

func newJoin(io stdio) *cobra.Command {
	var (
		o         link.JoinOptions
		tokenFile string
	)
	cmd := &cobra.Command{
		Use:   "join {--token T | --token-file F}",
		Short: "Join a master, once, with a token that it printed",
		Long: `join redeems a single-use token for this server's identity and writes a commented
agent.yaml.sample beside it. The token names the master's address and pins its
certificate authority; the private key is made here and never leaves this machine.`,
		Example: `  sitekeep server token web1 --role web          # on the master: prints the token
  sitekeep-agent join --token skj_...            # here
  sitekeep-agent join --token-file - < token     # not seen in the list of processes
  sitekeep-agent join --token skj_... --listen 192.0.2.7:7441
  sitekeep-agent join --token skj_... --dial-out # behind NAT: the agent calls the master`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if tokenFile != "" {
				var err error
				if o.Token, err = readToken(io.in, tokenFile); err != nil {
					return err
				}
			}
			member, err := link.Join(cmd.Context(), o)
			if err != nil {
				return err
			}
			return tellJoined(io, o.DataDir, member)
		},
	}
	flags := cmd.Flags()
	dataDirFlag(cmd, &o.DataDir)
	flags.StringVar(&o.Token, "token", "", "the join token")
	flags.StringVar(&tokenFile, "token-file", "", "file with the join token; - for standard input")
	flags.StringVar(&o.Listen, "listen", "", "address to listen on, host:port (default: all addresses, port "+link.DefaultPort+")")
	flags.BoolVar(&o.DialOut, "dial-out", false, "dial the master and serve over that connection, where it cannot reach this server")
	flags.BoolVar(&o.Replace, "replace", false, "join again in place of the present identity")
	cmd.MarkFlagsMutuallyExclusive("listen", "dial-out")
	cmd.MarkFlagsMutuallyExclusive("token", "token-file")
	cmd.MarkFlagsOneRequired("token", "token-file")
	return cmd
}

func readToken(in io.Reader, file string) (string, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", errs.New(errs.Usage, "write the token to that file", "token file: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxTokenFile))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return string(text), nil
}

// tellJoined prints the result, and what is next to do.
func tellJoined(io stdio, dataDir string, m link.Membership) error {
	var roles []string
	for _, r := range m.Roles {
		roles = append(roles, string(r))
	}
	if _, err := fmt.Fprintf(io.out, "joined as %s (%s)\n", m.Name, strings.Join(roles, ", ")); err != nil {
		return err
	}
	conf := filepath.Join(dataDir, config.FileName)
	if _, err := os.Stat(conf); err == nil {
		_, err = fmt.Fprintf(io.err, "next: sitekeep-agent serve --data-dir %s\n", dataDir)
		return err
	}
	_, err := fmt.Fprintf(io.err, "next: write %s (%s beside it is an example), then: sitekeep-agent serve --data-dir %s\n",
		conf, config.SampleName, dataDir)
	return err
}
