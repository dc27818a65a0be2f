package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

const filesADirectory = 100

// rowMillion looks whether memory depends on the number of files: tiny ones, so
// that nothing else counts.
func rowMillion(ctx context.Context, w *world) (*row, error) {
	r := newRow(masterMiB, webMiB)
	if w.options.peers {
		return r, nil
	}
	s, err := w.ownSitekeep(ctx, "million", nil)
	if err != nil {
		return nil, err
	}
	few, err := s.tinyFiles(ctx, "few", 10_000)
	if err != nil {
		return nil, err
	}
	many, err := s.tinyFiles(ctx, "many", 1_000_000)
	if err != nil {
		return nil, err
	}
	for _, how := range []struct{ flag, what string }{{"--full", "first"}, {"--full=false", "unchanged"}} {
		small, large := how.what+", 10,000 files", how.what+", 1,000,000 files"
		r.add(small, s.freshSide(how.flag, few), nil)
		r.add(large, s.freshSide(how.flag, many), nil)
		r.want(ratio(webMiB, large, small, 1.10), ratio(masterMiB, large, small, 1.10))
	}
	return r, nil
}

// tinyFiles makes a directory of n files and puts it under care.
func (s *sitekeep) tinyFiles(ctx context.Context, name string, n int) (site string, err error) {
	root := filepath.Join(s.w.web.Root, name)
	s.w.atRowEnd(func() error { return os.RemoveAll(root) })
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for d := range n / filesADirectory {
		g.Go(func() error {
			return errors.Join(ctx.Err(), fillTiny(filepath.Join(root, fmt.Sprint(d/filesADirectory), fmt.Sprint(d))))
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	site = name + ".bench.example.com"
	return site, s.addFiles(context.WithoutCancel(ctx), site, root)
}

func fillTiny(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range filesADirectory {
		text := fmt.Sprintf("<?php // file %d of %s\n", i, dir)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%02d.php", i)), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
