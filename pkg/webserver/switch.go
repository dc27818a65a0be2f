package webserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// ErrNotHeld is returned by NoteSwitch for a site that is not in maintenance.
var ErrNotHeld = errors.New("the site is not in maintenance")

// NoteSwitch remembers, beside the holders of a site's maintenance, what else
// keeps visitors out: Deps.SwitchOff gets the note before the maintenance ends,
// however it does. It is noted before it is done, so that nothing is left behind
// by whoever dies in between. Change gets the note there is, nil if there is
// none. The pass is what probes send in PassHeader.
func (s *Server) NoteSwitch(ctx context.Context, name string, change func(note []byte, pass string) ([]byte, error)) error {
	err := s.editFlag(ctx, name, func(f *flag) error {
		if len(f.Holders) == 0 {
			return ErrNotHeld
		}
		note, err := change(f.Switch, f.Pass)
		f.Switch = note
		return err
	})
	if err != nil {
		return fmt.Errorf("note what keeps visitors of %s out: %w", name, err)
	}
	return nil
}

// Switch returns what NoteSwitch has noted, nil if nothing, and the pass. Held
// says whether the site is in maintenance.
func (s *Server) Switch(name string) (note []byte, pass string, held bool, err error) {
	if err := validateName(name); err != nil {
		return nil, "", false, err
	}
	f, err := s.readFlag(name)
	if err != nil {
		return nil, "", false, fmt.Errorf("read %s: %w", s.flagPath(name), err)
	}
	return f.Switch, f.Pass, len(f.Holders) > 0, nil
}

// VisitorStatus asks as a visitor, on every listen address: 200 if somebody is
// let in on one, else 503 if that is what one answers, else what another does;
// 0 if nobody answers. Where http only leads to https it asks there: on the first
// of Config.ListenTLS or, without, at the same address.
func (s *Server) VisitorStatus(ctx context.Context, name string) (int, error) {
	status := 0
	for i, entry := range s.cfg.Listen {
		req := ProbeRequest{Name: name, Listen: entry, AsVisitor: true}
		r, err := s.Probe(ctx, req)
		if req.tls = s.leadsToTLS(r, s.listens[i]); err == nil && req.tls != "" {
			r, err = s.Probe(ctx, req)
		}
		if err != nil || r.Status == http.StatusOK {
			return r.Status, err
		}
		if status != http.StatusServiceUnavailable && r.Status != 0 {
			status = r.Status
		}
	}
	return status, nil
}

// leadsToTLS returns where the site serves https if that is what the answer says.
func (s *Server) leadsToTLS(r ProbeResult, l listen) string {
	u, err := url.Parse(r.Location)
	if err != nil || u.Scheme != "https" || r.Status < 300 || r.Status >= 400 {
		return ""
	}
	if len(s.listensTLS) > 0 {
		return s.listensTLS[0].dial()
	}
	host, _, err := net.SplitHostPort(l.dial())
	if err != nil {
		return ""
	}
	return net.JoinHostPort(host, cmp.Or(u.Port(), "443"))
}
