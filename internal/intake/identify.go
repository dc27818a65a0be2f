package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/kinds"
	"github.com/sitekeep/sitekeep/pkg/sitekind/phplit"
)

// identify finds the kind of the site and its old name, and refuses a tarball of which no site can be made.
func (j *job) identify(ctx context.Context) error {
	dir, err := os.MkdirTemp(j.deps.Dir, scratchPrefix)
	if err != nil {
		return scratchError(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // CleanUp removes what is left
	found, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("look at the settings: %w", err)
	}
	defer found.Close()
	if err := j.layOut(ctx, found); err != nil {
		return err
	}
	settings, err := j.detect(ctx, sitekind.Place{Root: found})
	if err != nil {
		return err
	}
	j.docroot = j.tree.docroot()
	j.oldName = j.findOldName(found, settings)
	return j.complete(settings)
}

// complete refuses what is missing.
func (j *job) complete(settings string) error {
	switch {
	case j.q.FilesOnly:
		return nil
	case j.dump == nil:
		return errs.New(errs.Precondition, "give the dump with --dump FILE, or, if the site needs no database, --files-only",
			"there is no dump in it: no database.sql, and no other .sql file beside the site's")
	case settings == "":
		return errs.New(errs.Precondition, "pack the site's directory with its settings, say what it is with --kind, or give --files-only; "+
			"a generic site says where its settings are in .sitekeep.yaml", "no settings of a %s site were found in it", j.kind)
	}
	return nil
}

// detect finds the kind, and the file with the settings; "" if there is none.
func (j *job) detect(ctx context.Context, p sitekind.Place) (settings string, err error) {
	try := kinds.All()
	if name := j.kindGiven(); name != "" {
		kind, err := kinds.ByName(name)
		if err != nil {
			return "", errs.New(errs.Usage, "give one of them with --kind", "%w", err)
		}
		try = []sitekind.Kind{kind}
		j.kind = name
	}
	for _, kind := range try {
		d, err := kind.Detect(ctx, p)
		if err != nil {
			return "", fmt.Errorf("find out the kind of the site: %w", err)
		}
		if !d.Found {
			continue
		}
		j.kind = kind.Name()
		if d.SettingsFile == "" {
			return "", nil
		}
		if there, err := p.Exists(d.SettingsFile); err != nil || !there {
			return "", err
		}
		return d.SettingsFile, nil
	}
	return "", nil
}

// kindGiven is the kind that the request names, or the tarball's own manifest; "": neither.
func (j *job) kindGiven() string {
	if j.q.Kind == "" && slices.Contains(kinds.Names(), j.manifest.GetSiteKind()) {
		return j.manifest.GetSiteKind()
	}
	return j.q.Kind
}

// marks are names of files that the kinds know a site by.
var marks = []string{
	"settings.php", "local.settings.php", "settings.local.php", drushFile, "Drupal.php", "bootstrap.inc", "system.module",
	"wp-config.php", "wp-load.php", "wp-settings.php", "version.php",
	"artisan", "console", "symfony.lock", ".env", ".env.local", ".env.prod", ".env.prod.local", ".env.local.php",
	".sitekeep.yaml",
}

const drushFile = "drushrc.php"

// settingsSuffixes end the names of files that settings may include, or be.
var settingsSuffixes = []string{".php", ".inc", ".yaml", ".yml", ".ini", ".env", ".conf", ".cnf", ".properties"}

const (
	// mostMarked and mostIncluded bound how many files are laid out: those that kinds know by name, and others that settings
	// may be in, at the first levels.
	mostMarked   = 2048
	mostIncluded = 512
	includeDepth = 3
)

// layOut writes the files that tell the kind of a site into a scratch directory.
func (j *job) layOut(ctx context.Context, to *os.Root) error {
	marked, included := 0, 0
	for r, err := range j.entries.last(func(record) {}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		out := j.tree.links.of(r)
		name, ok := j.tree.inSite(out.entry.Path)
		switch base := path.Base(name); {
		case !ok || out.entry.Type != archive.TypeRegular || out.entry.Size > sitekind.MaxSettings:
			continue
		case slices.Contains(marks, base) && marked < mostMarked:
			marked++
		case strings.Count(name, "/") <= includeDepth && slices.Contains(settingsSuffixes, path.Ext(base)) && included < mostIncluded:
			included++
		default:
			continue
		}
		if err := j.layFile(ctx, to, strings.TrimPrefix(name, root), &out); err != nil {
			return err
		}
	}
	return nil
}

// layFile writes one file. What is in the place of its directory, or of itself, is told when the site is packed.
func (j *job) layFile(ctx context.Context, to *os.Root, name string, r *record) error {
	if err := j.room.take(ctx, r.entry.Size); err != nil {
		return err
	}
	err := to.MkdirAll(filepath.Dir(name), 0o700)
	if err == nil {
		var f *os.File
		if f, err = to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err == nil {
			_, err = io.Copy(f, j.contentOf(r))
			err = errors.Join(err, f.Close())
		}
	}
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR) || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return scratchError(err)
}

// findOldName returns what the site was called: as our manifest says it, or Aegir's drushrc.php, or the tarball's name.
func (j *job) findOldName(found *os.Root, settings string) string {
	if j.manifest != nil {
		return j.manifest.GetSite()
	}
	for _, name := range []string{drushFile, path.Join(path.Dir(settings), drushFile)} {
		if uri := drushURI(found, name); uri != "" {
			return uri
		}
	}
	name := path.Base(j.q.Source)
	for _, suffix := range []string{".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"} {
		if site, _, err := model.ParseBackupID(strings.TrimSuffix(name, suffix)); err == nil {
			return site
		}
	}
	return ""
}

// drushURI reads $options['uri'] of Aegir's drushrc.php; "" if there is none that is a site's name.
func drushURI(found *os.Root, name string) string {
	data, err := found.ReadFile(name)
	if err != nil {
		return ""
	}
	f, err := phplit.Parse(name, data)
	if err != nil {
		return ""
	}
	uri, err := f.Find(nil, "$options", "uri")
	if err != nil || uri.Value.Type == phplit.Array {
		return ""
	}
	host := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(uri.Value.Text, "https://"), "http://"), "/"))
	if model.CheckSiteName(host) != nil {
		return ""
	}
	return host
}
