package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sitekeep/sitekeep/internal/model"
)

// what a file in a site's directory is.
type what int

const (
	isForeign what = iota // not ours: never touched
	isTarball
	isSidecar
	isMade    // markMade
	isGoing   // markGoing
	isScratch // a spool, or half a sidecar
)

// file is a name in a site's directory, understood.
type file struct {
	site, name string
	what       what
	id         string // empty if foreign
	format     string // of tarballs and marks
}

func (f file) path() string { return filepath.Join(f.site, f.name) }

// parseName understands a name in a site's directory.
func parseName(site, name string) file {
	f := file{site: site, name: name}
	rest, kind := name, isTarball
	switch {
	case strings.HasSuffix(name, spoolSuffix):
		rest, kind = strings.TrimSuffix(name, spoolSuffix), isScratch
		rest = rest[:max(strings.LastIndexByte(rest, '.'), 0)]
	case strings.HasSuffix(name, sidecarSuffix+markMade):
		rest, kind = strings.TrimSuffix(name, sidecarSuffix+markMade), isScratch
	case strings.HasSuffix(name, sidecarSuffix):
		rest, kind = strings.TrimSuffix(name, sidecarSuffix), isSidecar
	case strings.HasSuffix(name, markMade):
		rest, kind = strings.TrimSuffix(name, markMade), isMade
	case strings.HasSuffix(name, markGoing):
		rest, kind = strings.TrimSuffix(name, markGoing), isGoing
	}
	if kind == isTarball || kind == isMade || kind == isGoing {
		rest, f.format = cutFormat(rest)
	}
	if owner, _, err := model.ParseBackupID(rest); err == nil && owner == site {
		f.what, f.id = kind, rest
	}
	return f
}

// cutFormat splits "ID.tar.zst"; without a known suffix nothing is left that could be an id.
func cutFormat(name string) (id, format string) {
	for _, format := range formats() {
		if id, ok := strings.CutSuffix(name, "."+format); ok {
			return id, format
		}
	}
	return "", ""
}

// eachFile visits the files that are ours, by site and name. It holds the
// names of one site at a time.
func (l *Local) eachFile(ctx context.Context, visit func(file) error) error {
	return l.eachSite(ctx, func(site string, files []file) error {
		for _, f := range files {
			if err := visit(f); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachSite visits the sites' directories with the files in them that are ours, by name.
func (l *Local) eachSite(ctx context.Context, visit func(site string, files []file) error) error {
	sites, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	for _, site := range sites {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !site.IsDir() || model.CheckSiteName(site.Name()) != nil {
			continue
		}
		files, err := l.siteFiles(site.Name())
		if err != nil {
			return err
		}
		if err := visit(site.Name(), files); err != nil {
			return err
		}
	}
	return nil
}

func (l *Local) siteFiles(site string) ([]file, error) {
	entries, err := os.ReadDir(filepath.Join(l.dir, site))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		if f := parseName(site, e.Name()); f.what != isForeign && e.Type().IsRegular() {
			files = append(files, f)
		}
	}
	return files, nil
}
