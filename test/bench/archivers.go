package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// archiver is a backup program with a repository of its own, run on the web
// server itself with the repository beside it: no network slows it.
type archiver struct {
	w    *world
	name string
	dir  string
	repo string // of this run
	env  []string

	initRepo  []string // arguments in which REPO and SITE stand for paths
	saveFiles []string
	saveDump  []string // reads the dump from standard input
	getFiles  []string // run in the target directory
	below     string   // where in the target the tree is; SITE stands for its path
}

func newRestic(w *world) (*archiver, error) {
	dir, err := w.part("restic")
	if err != nil {
		return nil, err
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("bench\n"), 0o600); err != nil {
		return nil, err
	}
	return &archiver{
		w: w, name: "restic", dir: dir,
		env:       []string{"RESTIC_PASSWORD_FILE=" + password, "RESTIC_CACHE_DIR=" + filepath.Join(dir, "cache")},
		initRepo:  []string{"restic", "-q", "-r", "REPO", "init"},
		saveFiles: []string{"restic", "-q", "-r", "REPO", "backup", "SITE"},
		saveDump:  []string{"restic", "-q", "-r", "REPO", "backup", "--stdin", "--stdin-filename", "database.sql"},
		getFiles:  []string{"restic", "-q", "-r", "REPO", "restore", "latest", "--path", "SITE", "--target", "."},
		below:     "SITE",
	}, nil
}

func newBorg(w *world) (*archiver, error) {
	dir, err := w.part("borg")
	if err != nil {
		return nil, err
	}
	return &archiver{
		w: w, name: "borg", dir: dir,
		env:       []string{"BORG_BASE_DIR=" + dir, "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes"},
		initRepo:  []string{"borg", "init", "--encryption=none", "REPO"},
		saveFiles: []string{"borg", "create", "--compression=zstd,3", "REPO::files", "SITE"},
		saveDump:  []string{"borg", "create", "--compression=zstd,3", "--stdin-name=database.sql", "REPO::database", "-"},
		getFiles:  []string{"borg", "extract", "--numeric-ids", "REPO::files"},
		below:     "SITE",
	}, nil
}

func (a *archiver) fill(argv []string) []string {
	out := make([]string, len(argv))
	for i, arg := range argv {
		switch {
		case arg == "SITE":
			arg = a.w.site
		case arg == "REPO":
			arg = a.repo
		case len(arg) > 6 && arg[:6] == "REPO::":
			arg = a.repo + arg[4:]
		}
		out[i] = arg
	}
	return out
}

// fresh makes an empty repository.
func (a *archiver) fresh(ctx context.Context) error {
	repo, err := os.MkdirTemp(a.dir, "repo-")
	if err != nil {
		return err
	}
	a.repo = repo
	var m meter
	return m.run(tool(ctx, a.env, a.fill(a.initRepo)...))
}

func (a *archiver) backup(ctx context.Context, m *meter) error {
	if err := m.run(tool(ctx, a.env, a.fill(a.saveFiles)...)); err != nil {
		return err
	}
	dump, end, err := a.w.dump(ctx)
	if err != nil {
		return err
	}
	defer end()
	return m.pipe(dump, tool(ctx, a.env, a.fill(a.saveDump)...))
}

func (a *archiver) size(context.Context) (int64, error) {
	var total int64
	err := filepath.WalkDir(a.repo, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		return nil
	})
	if err == nil && total < a.w.corpus.Bytes/2 {
		err = fmt.Errorf("%s has only %d bytes", a.repo, total)
	}
	return total, err
}

func (a *archiver) backupSide() *side {
	return &side{name: a.name, prepare: a.fresh, work: a.backup, check: a.size}
}

// restoreSide brings the files back, out of a backup made here and now.
func (a *archiver) restoreSide(ctx context.Context) (*side, error) {
	if err := errors.Join(a.fresh(ctx), a.backup(ctx, &meter{})); err != nil {
		return nil, fmt.Errorf("%s: %w", a.name, err)
	}
	target := filepath.Join(a.dir, "restored")
	return &side{
		name:    a.name,
		prepare: func(context.Context) error { return a.w.aside(target) },
		work: func(ctx context.Context, m *meter) error {
			cmd := tool(ctx, a.env, a.fill(a.getFiles)...)
			cmd.Dir = target
			return m.run(cmd)
		},
		check: func(ctx context.Context) (int64, error) {
			return 0, a.w.sameSite(ctx, filepath.Join(target, a.fill([]string{a.below})[0]), "")
		},
	}, nil
}
