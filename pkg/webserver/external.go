package webserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

const (
	// includeSuffix ends the name of what a virtual host that is not ours
	// includes, so that it can be put into maintenance.
	includeSuffix = ".inc"
	// allowFile holds what nginx wants outside every virtual host for the
	// allow-list of these includes. Like each *.conf it is included already.
	allowFile = "sitekeep-allow.conf"
	// liveWait bounds asking whether an include is served.
	liveWait = 2 * time.Second
)

// IncludeLine is the line that an operator puts, once, at the beginning of a
// virtual host that is not ours, so that its site can be put into maintenance.
func (s *Server) IncludeLine(name string) string {
	return s.kind.Include(filepath.Join(s.cfg.VhostDir, name+includeSuffix))
}

// renderInclude returns the file that IncludeLine includes, what nginx needs
// beside it, and the generation that it tells.
func (s *Server) renderInclude(name string) (include, beside []byte, generation string, err error) {
	v, err := s.view(Site{Name: name, Docroot: s.cfg.VhostDir})
	if err != nil {
		return nil, nil, "", err
	}
	v.Generation = shortHash(fmt.Sprintf("%#v", v) + "\x00" + s.kind.Template())
	v.MarkerPath = markerDirectory + v.Generation
	t, err := s.pieces()
	if err != nil {
		return nil, nil, "", err
	}
	var in, out bytes.Buffer
	err = errors.Join(t.ExecuteTemplate(&in, "maintenance", v), t.ExecuteTemplate(&out, "allow-list", v))
	return seal(name, v.Generation, in.Bytes()), out.Bytes(), v.Generation, err
}

// ensureInclude writes a site's include and says whether the running web
// server serves it. What is included already and changes is tested and
// reloaded; what does not pass its test is put back.
func (s *Server) ensureInclude(ctx context.Context, name string) (live bool, err error) {
	release, d, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	include, beside, generation, err := s.renderInclude(name)
	if err != nil {
		return false, err
	}
	old, readErr := d.read(name + includeSuffix)
	if readErr == nil && bytes.Equal(old, include) {
		return s.includeLive(ctx, name, generation)
	}
	if err := writeInclude(d, name, include, beside); err != nil || readErr != nil {
		return false, err // What was not there is included by nobody yet.
	}
	if _, err := s.reload(ctx); err != nil {
		return false, errors.Join(err, d.restoreFile(name+includeSuffix, old))
	}
	waiting, cancel := context.WithTimeout(ctx, liveWait)
	defer cancel()
	if s.waitGeneration(waiting, name, s.cfg.Listen[0], generation) == nil {
		return true, nil
	}
	return s.includeLive(ctx, name, generation)
}

// includeLive asks every listen address whether it serves an include; the
// virtual host need not listen on all of them.
func (s *Server) includeLive(ctx context.Context, name, generation string) (bool, error) {
	for _, entry := range s.cfg.Listen {
		req := ProbeRequest{Name: name, Listen: entry, Path: markerDirectory + generation, Timeout: liveWait}
		if live, err := s.tellsInARow(ctx, req, generation); err != nil || live {
			return live, err
		}
	}
	return false, nil
}

// tellsInARow asks as often as WaitServing does, because of workers that serve
// what was before a reload, and gives up at the first other answer.
func (s *Server) tellsInARow(ctx context.Context, req ProbeRequest, generation string) (bool, error) {
	for range inARow {
		if r, err := s.Probe(ctx, req); err != nil || !r.tells(generation) {
			return false, err
		}
		select {
		case <-time.After(servingPause):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}

func writeInclude(d *vhostDir, name string, include, beside []byte) error {
	if len(beside) > 0 {
		if err := d.ensure(allowFile, beside); err != nil {
			return err
		}
	}
	return d.ensure(name+includeSuffix, include)
}

// restoreFile makes a file hold what it held; nil removes it.
func (d *vhostDir) restoreFile(name string, old []byte) error {
	if old == nil {
		return errors.Join(d.remove(name), d.sync())
	}
	return d.ensure(name, old)
}

// externalReason says why a virtual host that is not ours may not answer 503;
// empty when it does.
func (s *Server) externalReason(ctx context.Context, name, reason string) string {
	live, err := s.ensureInclude(ctx, name)
	switch {
	case live:
		return ""
	case err != nil:
		return fmt.Sprintf("%s, and its include cannot be written: %v", reason, err)
	}
	return fmt.Sprintf("%s; for an external one, put this line at the beginning of its virtual host and reload the web server: %s",
		reason, s.IncludeLine(name))
}
