// Package intake makes a backup of this store out of a tarball that was made elsewhere: by Sitekeep, by Aegir, or by hand
// with an SQL dump in it or beside it. It believes nothing that a tarball says: whatever would lead out of a directory is
// refused, and what is recorded is only what was read to its end. It refuses to know how a tarball comes here and what
// becomes of the backup, and it never runs what is in one.
package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// Store is where the backup goes, and whose file system is used while it is made.
type Store interface {
	Create(ctx context.Context, id, format string, estimate int64) (store.Pending, error)
	Free(ctx context.Context) (store.Space, error)
}

// Catalogue lists backups.
type Catalogue interface {
	InsertBackup(ctx context.Context, b model.Backup) error
}

// Deps are what an Importer works with.
type Deps struct {
	Store     Store
	Catalogue Catalogue
	// Dir is where scratch files lie, on the file system of the store: best the store's own directory.
	Dir string
	// Reserve is how many bytes of that file system stay free.
	Reserve   int64
	Software  string // name and version, for manifests
	ZstdLevel int    // of tar.zst; 0 for the codec's default
	Now       func() time.Time
}

// Request says what a tarball is for.
type Request struct {
	Site        string
	Source      string // where it came from
	Description string
	Format      string // of the backup
	Kind        string // of the site; "": as the tarball shows it
	FilesOnly   bool   // do without settings and dump
	Size        int64  // bytes; 0: not known
}

// Upload is a tarball on its way in.
type Upload struct {
	// Tarball is read to its end.
	Tarball io.Reader
	// Dump is asked once after that, if it is not nil. A nil reader says that there is no dump beside the tarball.
	Dump func() (name string, r io.Reader, err error)
}

// Result is what was made.
type Result struct {
	Backup *model.Backup
	Kind   string
	// OldName is what the site was called where the tarball was made; "": it does not say.
	OldName string
	// Docroot is the directory that is served, relative to the site's; "": that itself.
	Docroot string
}

// Importer makes backups of tarballs. It is safe for concurrent use.
type Importer struct{ deps Deps }

// New returns an Importer.
func New(d Deps) *Importer { return &Importer{deps: d} }

// Import reads a tarball and lists it as a backup. On an error nothing is listed and nothing is left in the store.
func (im *Importer) Import(ctx context.Context, q Request, up Upload) (*Result, error) {
	j := &job{deps: im.deps, q: q, started: im.deps.Now(), room: &room{store: im.deps.Store, reserve: im.deps.Reserve}}
	defer j.close()
	if err := j.run(ctx, up); err != nil {
		return nil, fmt.Errorf("import %s for %s: %w", source(q), q.Site, classify(err))
	}
	return &Result{Backup: j.backup, Kind: j.kind, OldName: j.oldName, Docroot: j.docroot}, nil
}

func source(q Request) string {
	if q.Source == "" {
		return "a tarball"
	}
	return path.Base(q.Source)
}

// job is one tarball.
type job struct {
	deps    Deps
	q       Request
	started time.Time
	room    *room
	warn    warnings
	closers []func()

	in       *input
	manifest *archivev1.Manifest // of a tarball of ours; nil: it is not, or was packed anew
	content  *spool              // of regular files
	entries  *sorter
	maybe    []record // files that may be the dump
	tree     shape
	dump     *dumpSource // nil: none
	kind     string
	oldName  string
	docroot  string

	pending   store.Pending
	assembler *archive.Assembler
	result    archive.Summary // of the files
	adopted   dbdump.AdoptSummary
	backup    *model.Backup
}

func (j *job) later(f func()) { j.closers = append(j.closers, f) }

func (j *job) close() {
	for i := len(j.closers) - 1; i >= 0; i-- {
		j.closers[i]()
	}
}

// run takes everything in, finds out what it is, and only then makes the backup.
func (j *job) run(ctx context.Context, up Upload) error {
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return j.receive(ctx, up) },
		j.survey,
		j.identify,
		j.assemble,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

const (
	hintAnew = "unpack it where nothing can go wrong, look at what is in it, and pack it anew with: tar -C DIR -czf FILE.tar.gz ./"
	hintCut  = "fetch it again where it was made, and compare the checksums"
)

// classify gives errors of the parts their kinds and hints.
func classify(err error) error {
	var known *errs.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, archive.ErrUnsafe):
		return errs.New(errs.Precondition, hintAnew, "%w", err)
	case errors.Is(err, archive.ErrIncomplete), errors.Is(err, io.ErrUnexpectedEOF):
		return errs.New(errs.Corrupt, hintCut, "it is cut off: %w", err)
	case errors.Is(err, archive.ErrCorrupt):
		return errs.New(errs.Corrupt, hintCut, "it is damaged, or not a tarball: %w", err)
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		if errors.Is(err, full) {
			return store.WriteError("the import", err)
		}
	}
	return err
}

// maxWarnings bounds what a backup's entry in the catalogue keeps.
const maxWarnings = 100

// warnings are what an operator should know of the backup.
type warnings struct {
	texts []string
	more  int
}

func (w *warnings) add(format string, args ...any) {
	if len(w.texts) == maxWarnings {
		w.more++
		return
	}
	w.texts = append(w.texts, strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD"))
}

func (w *warnings) all() []string {
	if w.more == 0 {
		return w.texts
	}
	return append(w.texts[:len(w.texts):len(w.texts)], fmt.Sprintf("and %d more", w.more))
}
