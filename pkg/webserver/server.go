package webserver

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"
)

// Deps are what a Server needs from outside. The zero value is what
// production uses.
type Deps struct {
	// Runner runs the test and reload commands. Nil: ExecRunner.
	Runner Runner
	// Now is the clock of maintenance leases. Nil: time.Now.
	Now func() time.Time
	// SwitchOff takes away what a note of NoteSwitch is about, before the
	// maintenance of a site ends. It may be called again. Nil: nothing is noted.
	SwitchOff func(name string, note []byte) error
}

// Server is one web server on this machine. Its methods may be called at the
// same time; changes and reloads happen one after another, because the
// configuration test sees the files of every site.
type Server struct {
	cfg     Config
	kind    Kind
	listens []listen
	// listensTLS is the same for sites with a certificate.
	listensTLS []listen
	allow      []netip.Prefix
	runner     Runner
	now        func() time.Time
	switchOff  func(name string, note []byte) error
	// changing holds one value while virtual hosts change or are reloaded.
	changing chan struct{}
	// flagging holds one value while maintenance flags change.
	flagging chan struct{}
}

// New returns the web server that cfg describes. It touches nothing: a
// directory that is missing is reported by the first method that needs it.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("webserver: %w", err)
	}
	s := &Server{cfg: cfg, runner: deps.Runner, now: deps.Now, switchOff: deps.SwitchOff,
		changing: make(chan struct{}, 1), flagging: make(chan struct{}, 1)}
	s.kind, _ = kindByName(cfg.Kind)
	s.listens, _ = parseListens(cfg.Listen)
	s.listensTLS, _ = parseListensTLS(cfg.ListenTLS)
	s.allow, _ = parseAllow(cfg.MaintenanceAllow)
	if s.cfg.CommandTimeout <= 0 {
		s.cfg.CommandTimeout = DefaultCommandTimeout
	}
	if s.runner == nil {
		s.runner = ExecRunner{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s, nil
}

// Listens returns the listen addresses as they stand in the configuration, in
// that order. Each may be given to Probe.
func (s *Server) Listens() []string { return append([]string(nil), s.cfg.Listen...) }

// WebGroup returns the group under which the web server reads sites.
func (s *Server) WebGroup() string { return s.cfg.WebGroup }

func acquire(ctx context.Context, lock chan struct{}) (release func(), err error) {
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// openDir opens the directory of virtual hosts. The caller closes it.
func (s *Server) openDir() (*vhostDir, error) {
	root, err := os.OpenRoot(s.cfg.VhostDir)
	if err != nil {
		return nil, fmt.Errorf("directory of virtual hosts: %w; create it and let the web server include %s/*.conf",
			err, s.cfg.VhostDir)
	}
	return &vhostDir{Root: root}, nil
}
