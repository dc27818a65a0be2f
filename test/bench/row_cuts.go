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
	againPercent = "sent again %" // beyond what the backup without cuts sent
	cutsMade     = "cuts"
)

const (
	uncut    = "sitekeep, not cut"
	cutOften = "sitekeep, cut 100 times"
	cuts     = 100
)

func rowCuts(ctx context.Context, w *world) (*row, error) {
	r := newRow(cutsMade, againPercent)
	if w.options.peers {
		return r, nil
	}
	c, err := newCutRig(ctx, w)
	if err != nil {
		return nil, err
	}
	r.add(uncut, c.side(0, func(m *meter, sent int64, digest string) error {
		c.whole, c.digest = sent, digest
		return nil
	}), nil)
	r.add(cutOften, c.side(cuts, c.compare), nil)
	r.want(within(againPercent, cutOften, 1))
	return r, nil
}

// cutRig is a master that reaches its web agent through the proxy alone.
type cutRig struct {
	s      *sitekeep
	proxy  *cutter
	whole  int64  // bytes of a backup without cuts
	digest string // its digest
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
	return c, s.addFiles(ctx, w.files, w.site)
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

func (c *cutRig) side(cuts int, check func(m *meter, sent int64, digest string) error) *side {
	files := c.s.w.files
	return &side{
		prepare: func(context.Context) error {
			if cuts > 0 && c.whole == 0 {
				return fmt.Errorf("there is no backup without cuts to compare with")
			}
			c.proxy.arm(cuts, c.whole/int64(cuts+1))
			return nil
		},
		work: func(ctx context.Context, m *meter) error {
			err := c.s.backupFull(ctx, m, files)
			if _, left := c.proxy.state(); err != nil && left < cuts {
				return fmt.Errorf("after %d cuts: %w", cuts-left, err)
			}
			return err
		},
		check: func(ctx context.Context, m *meter) error {
			sent, left := c.proxy.state()
			m.note(cutsMade, float64(cuts-left))
			if left > 0 {
				return fmt.Errorf("only %d cuts were made", cuts-left)
			}
			b, err := c.s.newest(ctx, files)
			if err != nil {
				return err
			}
			if err := check(m, sent, b.Digest); err != nil {
				return err
			}
			return c.s.checked(ctx, m, files)
		},
	}
}

func (c *cutRig) compare(m *meter, sent int64, digest string) error {
	m.note(againPercent, percent(sent-c.whole, c.whole))
	if digest != c.digest {
		return fmt.Errorf("the digest is %s; without cuts it was %s", digest, c.digest)
	}
	return nil
}
