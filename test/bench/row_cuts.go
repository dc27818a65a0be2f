package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sitekeep/sitekeep/test/bed"
)

const (
	againPercent = "sent again %" // beyond what a backup without cuts sends
	cutsMade     = "cuts"
	eachCut      = "KB a cut"    // of what is sent again: torn messages, handshakes, and what the stream begins with
	otherFiles   = "other files" // entries that are not as in a backup without cuts
)

const (
	uncut    = "sitekeep, not cut"
	cutOften = "sitekeep, cut 100 times"
	cuts     = 100
)

func rowCuts(ctx context.Context, w *world) (*row, error) {
	r := newRow(cutsMade, againPercent, eachCut, otherFiles)
	if w.options.peers {
		return r, nil
	}
	c, err := newCutRig(ctx, w)
	if err != nil {
		return nil, err
	}
	r.add(uncut, c.side(0), nil)
	r.add(cutOften, c.side(cuts), nil)
	r.want(within(againPercent, cutOften, 1), within(otherFiles, cutOften, 0), within(otherFiles, uncut, 0))
	return r, nil
}

// cutRig is a master that reaches its web agent through the proxy alone.
type cutRig struct {
	s      *sitekeep
	proxy  *cutter
	whole  int64  // bytes of a backup without cuts
	backup string // its id
}

func newCutRig(ctx context.Context, w *world) (*cutRig, error) {
	s, err := w.ownSitekeep(ctx, "cuts", nil)
	if err != nil {
		return nil, err
	}
	c := &cutRig{s: s}
	if err := s.web.Stop(); err != nil {
		return nil, err
	}
	behind, err := bed.FreePort(s.web.Addr.Addr())
	if err != nil {
		return nil, err
	}
	if err := listenAt(s.web, behind.String()); err != nil {
		return nil, err
	}
	if c.proxy, err = newCutter(s.web.Addr, behind); err != nil {
		return nil, err
	}
	w.atRowEnd(c.proxy.close)
	if err := s.web.Start(ctx); err != nil {
		return nil, err
	}
	if err := s.addFiles(ctx, w.files, w.site); err != nil {
		return nil, err
	}
	return c, c.measureWhole(ctx)
}

// measureWhole makes the backup that all others are compared with.
func (c *cutRig) measureWhole(ctx context.Context) error {
	c.proxy.arm(0, 0)
	if err := c.s.backupFull(ctx, newMeter(), c.s.w.files); err != nil {
		return err
	}
	c.whole, _ = c.proxy.state()
	b, err := c.s.newest(ctx, c.s.w.files)
	c.backup = b.ID
	return err
}

// listenAt has an agent listen elsewhere than the master believes.
func listenAt(a *bed.Agent, addr string) error {
	path := filepath.Join(a.DataDir, "joined.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var joined map[string]any
	if err := json.Unmarshal(text, &joined); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	joined["listen"] = addr
	if text, err = json.Marshal(joined); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func (c *cutRig) side(cuts int) *side {
	return &side{
		prepare: func(context.Context) error {
			c.proxy.arm(cuts, c.whole/int64(cuts+1))
			return nil
		},
		work: func(ctx context.Context, m *meter) error {
			err := c.s.backupFull(ctx, m, c.s.w.files)
			if _, left := c.proxy.state(); err != nil && left < cuts {
				return fmt.Errorf("after %d cuts: %w", cuts-left, err)
			}
			return err
		},
		check: func(ctx context.Context, m *meter) error { return c.check(ctx, m, cuts) },
	}
}

func (c *cutRig) check(ctx context.Context, m *meter, cuts int) error {
	sent, left := c.proxy.state()
	if left > 0 {
		return fmt.Errorf("only %d cuts were made", cuts-left)
	}
	m.note(cutsMade, float64(cuts))
	m.note(againPercent, percent(sent-c.whole, c.whole))
	if cuts > 0 {
		m.note(eachCut, float64(sent-c.whole)/1e3/float64(cuts))
	}
	b, err := c.s.newest(ctx, c.s.w.files)
	if err != nil {
		return err
	}
	var others []json.RawMessage
	if err := c.s.json(ctx, &others, "diff", c.backup, b.ID); err != nil {
		return err
	}
	m.note(otherFiles, float64(len(others)))
	return c.s.checked(ctx, m, c.s.w.files)
}
