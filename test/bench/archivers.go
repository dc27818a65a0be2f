package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// archiver is a backup program with a repository of its own, run on the web
// server itself with the repository beside it: no network slows it.
type archiver struct {
	w    *world
	dir  string
	repo string
	n    int // of the last backup
	env  []string

	initRepo  []string // arguments in which REPO and SITE stand for paths, NUMBER for the backup's
	saveFiles []string
	saveDump  []string // reads the dump from standard input
	getFiles  []string // run in the target directory
	below     string   // where in the target the tree is; SITE stands for its path
}

func newRestic(w *world, name string) (*archiver, error) {
	dir, err := w.part(name)
	if err != nil {
		return nil, err
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("bench\n"), 0o600); err != nil {
		return nil, err
	}
	return &archiver{
		w: w, dir: dir,
		env:       []string{"RESTIC_PASSWORD_FILE=" + password, "RESTIC_CACHE_DIR=" + filepath.Join(dir, "cache")},
		initRepo:  []string{"restic", "-q", "-r", "REPO", "init"},
		saveFiles: []string{"restic", "-q", "-r", "REPO", "backup", "SITE"},
		saveDump:  []string{"restic", "-q", "-r", "REPO", "backup", "--stdin", "--stdin-filename", "database.sql"},
		getFiles:  []string{"restic", "-q", "-r", "REPO", "restore", "latest", "--path", "SITE", "--target", "."},
		below:     "SITE",
	}, nil
}

func newBorg(w *world, name string) (*archiver, error) {
	dir, err := w.part(name)
	if err != nil {
		return nil, err
	}
	return &archiver{
		w: w, dir: dir,
		env:       []string{"BORG_BASE_DIR=" + dir, "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes"},
		initRepo:  []string{"borg", "init", "--encryption=none", "REPO"},
		saveFiles: []string{"borg", "create", "--compression=zstd,3", "REPO::files-NUMBER", "SITE"},
		saveDump:  []string{"borg", "create", "--compression=zstd,3", "--stdin-name=database.sql", "REPO::database-NUMBER", "-"},
		getFiles:  []string{"borg", "extract", "--numeric-ids", "REPO::files-NUMBER"},
		below:     "SITE",
	}, nil
}

// fill puts paths, and the number of the backup, in the place of the words that
// stand for them.
func (a *archiver) fill(argv []string) []string {
	words := strings.NewReplacer("REPO", a.repo, "SITE", a.w.site, "NUMBER", fmt.Sprint(a.n))
	out := make([]string, len(argv))
	for i, arg := range argv {
		out[i] = words.Replace(arg)
	}
	return out
}

// fresh makes an empty repository in the place of the one before.
func (a *archiver) fresh(ctx context.Context) error {
	a.repo = filepath.Join(a.dir, "repo")
	if err := a.w.aside(a.repo); err != nil {
		return err
	}
	return newMeter().run(tool(ctx, a.env, a.fill(a.initRepo)...))
}

// backup saves the tree and then the database into the repository that is there.
func (a *archiver) backup(ctx context.Context, m *meter) error {
	if err := a.backupFiles(ctx, m); err != nil {
		return err
	}
	dump, end, err := a.w.dump(ctx)
	if err != nil {
		return err
	}
	defer end()
	return m.pipe(dump, tool(ctx, a.env, a.fill(a.saveDump)...))
}

func (a *archiver) backupFiles(ctx context.Context, m *meter) error {
	a.n++
	return m.run(tool(ctx, a.env, a.fill(a.saveFiles)...))
}

// checked notes the size of the repository.
func (a *archiver) checked(_ context.Context, m *meter) error {
	total, err := treeBytes(a.repo)
	if err != nil {
		return err
	}
	m.note(archiveMB, megabytes(total))
	return tooSmall(a.repo, total, a.w.corpus.Bytes/2)
}

// firstSide makes a whole backup into an empty repository.
func (a *archiver) firstSide() *side {
	return &side{prepare: a.fresh, work: a.backup, check: a.checked}
}

// laterSide makes a backup into a repository that has one already.
func (a *archiver) laterSide(ctx context.Context, backup func(context.Context, *meter) error) (*side, error) {
	if err := errors.Join(a.fresh(ctx), backup(ctx, newMeter())); err != nil {
		return nil, err
	}
	return &side{work: backup, check: a.checked}, nil
}

// restoreSide brings the files back, out of a backup made here and now.
func (a *archiver) restoreSide(ctx context.Context) (*side, error) {
	if err := errors.Join(a.fresh(ctx), a.backupFiles(ctx, newMeter())); err != nil {
		return nil, err
	}
	target := filepath.Join(a.dir, "restored")
	return &side{
		prepare: func(context.Context) error { return a.w.aside(target) },
		work: func(ctx context.Context, m *meter) error {
			cmd := tool(ctx, a.env, a.fill(a.getFiles)...)
			cmd.Dir = target
			return m.run(cmd)
		},
		check: func(ctx context.Context, _ *meter) error {
			return a.w.sameSite(ctx, filepath.Join(target, a.fill([]string{a.below})[0]), "")
		},
	}, nil
}
