package webserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// probePause is the time between two probes of WaitProbe.
	probePause = 100 * time.Millisecond
	// servingPause is the same in WaitServing, which asks for a few bytes only.
	servingPause = 10 * time.Millisecond
	// inARow is how often, and steady for how long, the new configuration has to
	// answer before it is believed: old and new workers accept connections side
	// by side after a reload. nginx tells the old ones to end 100 ms after it has
	// begun the new ones (ngx_master_process_cycle).
	inARow = 5
	steady = 250 * time.Millisecond
)

// WaitProbe repeats a probe until done says true of its result, or ctx ends;
// then it returns the last result with an error.
func (s *Server) WaitProbe(ctx context.Context, req ProbeRequest, done func(ProbeResult) bool) (ProbeResult, error) {
	return s.poll(ctx, req, probePause, done)
}

func (s *Server) poll(ctx context.Context, req ProbeRequest, pause time.Duration, done func(ProbeResult) bool) (ProbeResult, error) {
	for {
		result, err := s.Probe(ctx, req)
		if err != nil || done(result) {
			return result, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return result, fmt.Errorf("probe %s at %s: last answer was %d (%s): %w",
				req.Name, result.Address, result.Status, result.Problem, context.Cause(ctx))
		}
	}
}

// WaitServing waits until every listen address serves the site's virtual host
// as it is in the file now, or ctx ends. It returns ErrNoVhost when there is
// none, and a *ForeignVhostError when it is not ours, as it then cannot tell.
func (s *Server) WaitServing(ctx context.Context, name string) error {
	state, err := s.VhostState(ctx, name)
	switch {
	case err != nil:
		return err
	case !state.Exists:
		return fmt.Errorf("wait for %s: %w", name, ErrNoVhost)
	case !state.Managed:
		return fmt.Errorf("wait for %s: %w", name, &ForeignVhostError{Path: s.path(name)})
	}
	for _, entry := range s.cfg.Listen {
		if err := s.waitGeneration(ctx, name, entry, state.Generation); err != nil {
			return fmt.Errorf("%w; does the web server include %s/*.conf, and did the reload work?", err, s.cfg.VhostDir)
		}
	}
	return nil
}

func (s *Server) waitGeneration(ctx context.Context, name, entry, generation string) error {
	req := ProbeRequest{Name: name, Listen: entry, Path: markerDirectory + generation}
	row, since := 0, time.Time{}
	_, err := s.poll(ctx, req, servingPause, func(r ProbeResult) bool {
		if !r.tells(generation) {
			row = 0
			return false
		}
		if row++; row == 1 {
			since = time.Now()
		}
		return row >= inARow && time.Since(since) >= steady
	})
	return err
}

// tells says whether an answer is the marker of a generation: a page, or a
// header where a web server cannot make one.
func (r ProbeResult) tells(generation string) bool {
	return r.generation == generation || r.Status == http.StatusOK && strings.TrimSpace(string(r.Body)) == generation
}
