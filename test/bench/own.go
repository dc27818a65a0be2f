package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// ownSitekeep is one of the row's own, which serves four sites of one agent at
// the same time and ends with the row. Its store lies on what mount, if it is
// not nil, puts on a directory.
func (w *world) ownSitekeep(ctx context.Context, part string, mount func(ctx context.Context, on string) error) (*sitekeep, error) {
	s, err := w.newSitekeep(ctx, part)
	if err != nil {
		return nil, err
	}
	w.atRowEnd(func() error { return os.RemoveAll(s.store()) })
	if err := s.stop(); err != nil {
		return nil, err
	}
	if err := s.serveFour(); err != nil {
		return nil, err
	}
	if mount == nil {
		mount = func(context.Context, string) error { return nil }
	}
	if err := mount(ctx, s.store()); err != nil {
		return nil, err
	}
	w.atRowEnd(s.stop)
	return s, s.restart(ctx)
}

// store is the directory of the tarballs.
func (s *sitekeep) store() string { return filepath.Join(s.master.DataDir, "store") }

// serveFour raises the limit of tasks of one agent in master.yaml.
func (s *sitekeep) serveFour() error {
	path := filepath.Join(s.master.DataDir, "master.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	const two, four = "per_agent: 2", "per_agent: 4"
	if !bytes.Contains(text, []byte(two)) {
		return fmt.Errorf("%s has no %q", path, two)
	}
	return os.WriteFile(path, bytes.ReplaceAll(text, []byte(two), []byte(four)), 0o600)
}
