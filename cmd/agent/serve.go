package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sitekeep/sitekeep/internal/agent"
	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/agent/gentle"
	"github.com/sitekeep/sitekeep/internal/agent/link"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pace"
	"github.com/sitekeep/sitekeep/internal/pki"
)

type serveOptions struct {
	dataDir  string
	logLevel string
	logJSON  bool
}

func newServe(io stdio) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the master until told to stop",
		Long: `serve checks agent.yaml, and answers the master until SIGTERM or SIGINT; calls that
are under way may then end for some seconds.

It prints "ready" on standard output when the master can call: when it listens,
or with --dial-out when it is connected for the first time. systemd is told READY=1
when it listens; with --dial-out as soon as it dials, so that a master that is
down does not make the unit fail. The log goes to standard error.`,
		Example: `  sitekeep-agent serve
  sitekeep-agent serve --data-dir /srv/agent --log-json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), o, io) },
	}
	dataDirFlag(cmd, &o.dataDir)
	cmd.Flags().StringVar(&o.logLevel, "log-level", "info", "trace, debug, info, warn or error")
	cmd.Flags().BoolVar(&o.logJSON, "log-json", false, "write the log as JSON, one object a line")
	return cmd
}

// service is an agent that is about to serve.
type service struct {
	dataDir string
	log     hclog.Logger
	live    *pki.LiveIdentity
	joined  link.Joined
	agent   *agent.Agent
	ready   func()
}

func serve(ctx context.Context, o serveOptions, io stdio) error {
	log, err := newLogger(o, io)
	if err != nil {
		return err
	}
	s, release, err := prepare(o.dataDir, log)
	if err != nil {
		return err
	}
	defer release()
	pace.Daemon(12 << 20)
	s.ready = sync.OnceFunc(func() { _, _ = fmt.Fprintln(io.out, "ready") })
	return s.run(ctx)
}

func newLogger(o serveOptions, io stdio) (hclog.Logger, error) {
	level := hclog.LevelFromString(o.logLevel)
	if level == hclog.NoLevel {
		return nil, errs.New(errs.Usage, "use trace, debug, info, warn or error", "log level %q is not known", o.logLevel)
	}
	return hclog.New(&hclog.LoggerOptions{
		Name: "sitekeep-agent", Level: level, Output: io.err, JSONFormat: o.logJSON,
		TimeFormat: "2006-01-02T15:04:05.000Z", TimeFn: func() time.Time { return time.Now().UTC() },
	}), nil
}

// prepare reads all that an agent is made of. release gives the data directory free.
func prepare(dataDir string, log hclog.Logger) (s *service, release func(), err error) {
	id, err := pki.LoadIdentity(dataDir)
	if err != nil {
		return nil, nil, err
	}
	s = &service{dataDir: dataDir, log: log}
	if s.joined, err = link.LoadJoined(dataDir); err != nil {
		return nil, nil, err
	}
	cfg, err := config.Load(dataDir)
	if err != nil {
		return nil, nil, err
	}
	if s.live, err = pki.NewLiveIdentity(id); err != nil {
		return nil, nil, err
	}
	s.agent, err = agent.New(agent.Options{
		Config: cfg, Name: id.Name, Roles: s.joined.Roles, Host: reachedAt(s.joined, id.Addresses), Version: version(), Log: log,
		CertificateNotAfter: func() time.Time { return notAfter(s.live) }, Gate: gate(cfg, log),
	})
	if err != nil {
		return nil, nil, err
	}
	release, err = link.Lock(dataDir)
	return s, release, err
}

// gate is what backups give way to visitors by; nil if they need not.
func gate(cfg *config.Config, log hclog.Logger) *gentle.Gate {
	if !cfg.Limits.BackupsAreGentle() {
		return nil
	}
	priority, err := gentle.Threads()
	if err != nil {
		log.Warn("backups pause for visitors, but keep their priority; give the agent CAP_SYS_NICE, or LimitNICE=+0", "error", err)
	}
	return gentle.New(gentle.Machine(), priority)
}

// reachedAt is the host under which other servers reach this one: what it listens on, or what the master sees.
func reachedAt(j link.Joined, master []string) string {
	host, _, err := net.SplitHostPort(j.Listen)
	if ip := net.ParseIP(host); err == nil && host != "" && (ip == nil || !ip.IsUnspecified()) {
		return host
	}
	return link.LocalHost(master)
}

func notAfter(live *pki.LiveIdentity) time.Time {
	cert, err := live.Current()
	if err != nil {
		return time.Time{}
	}
	return cert.Leaf.NotAfter
}

// run serves, sweeps and renews until ctx ends, or one of them fails.
func (s *service) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { s.agent.Sweep(ctx); return nil })
	g.Go(func() error { return s.renewer().Run(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		notify(s.log, daemon.SdNotifyStopping)
		return nil
	})
	g.Go(func() error { return s.answer(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	s.log.Info("stopped")
	return nil
}

// answer serves on an address, or over a connection to the master.
func (s *service) answer(ctx context.Context) error {
	name := s.live.Identity().Name
	if s.joined.DialOut {
		s.log.Info("dialling the master", "server", name, "addresses", s.live.Identity().Addresses)
		notify(s.log, daemon.SdNotifyReady)
		reverse := &link.Reverse{Live: s.live, Log: s.log, Connected: s.ready}
		return reverse.Run(ctx, s.agent.NewServer(link.ReverseCredentials()))
	}
	return link.Listen(ctx, s.joined.Listen, s.agent.NewServer(link.ListenCredentials(s.live)), func() {
		s.log.Info("listening", "server", name, "address", s.joined.Listen)
		notify(s.log, daemon.SdNotifyReady)
		s.ready()
	})
}

func (s *service) renewer() pki.Renewer {
	return pki.Renewer{
		Live: s.live, Renew: link.Renew(s.live),
		Save: func(id pki.Identity) error { return pki.SaveIdentity(s.dataDir, id) },
		Notify: func(r pki.Renewal) {
			if r.Err != nil {
				s.log.Error("the certificate could not be renewed", "error", r.Err, "hint", errs.HintOf(r.Err), "ends", r.NotAfter, "next_try", r.Next)
				return
			}
			s.log.Info("the certificate was renewed", "ends", r.NotAfter)
		},
	}
}

// notify tells systemd, if it has started us.
func notify(log hclog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd could not be told", "state", state, "error", err)
	}
}
