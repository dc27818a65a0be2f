package backup

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/pkg/archive"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// job is one try to make one backup.
type job struct {
	deps      Deps
	q         Request
	withDump  bool
	log       Log
	started   time.Time
	lastPlain int64 // plain bytes of the last backup, for the progress

	pending   store.Pending
	assembler *archive.Assembler
	base      *Tarball // nil: none
	readAll   bool     // what seems unchanged too
	sinceFull int      // backups since the last that read everything
	blanked   []string // settings files whose password was blanked
	unseen    int      // files whose content had changed without a trace

	counts   *counts
	tree     archive.Summary
	dump     model.DumpSummary
	sql      archive.Summary
	page     string    // see LabelPageStatus
	source   string    // the web server that files are read from
	software [2]string // of the web and of the database agent
}

// readerAt is what archive.Open and the assembler read from: the file itself where there is one, so that the kernel copies.
func readerAt(b store.Blob) interface {
	ReadAt(p []byte, off int64) (int, error)
} {
	if f, ok := b.(store.Filer); ok {
		return f.File()
	}
	return b
}

func (j *job) run(ctx context.Context) (*model.Backup, error) {
	dir := filepath.Dir(j.pending.File().Name())
	align, err := archive.ProbeSharedBlocks(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	codec, err := archive.NewCodec(archive.Format(j.q.Format), 0)
	if err != nil {
		return nil, err
	}
	j.assembler, err = archive.NewAssembler(archive.AssemblerOptions{File: j.pending.File(), SpoolDir: dir, Codec: codec, Align: align})
	if err != nil {
		return nil, j.storeError(err)
	}
	defer j.assembler.Abort()
	if err := j.chooseSource(ctx); err != nil {
		return nil, err
	}
	if err := j.collect(ctx); err != nil {
		return nil, err
	}
	return j.finish(ctx)
}

// collect takes files and dump at the same time, and asks for the page meanwhile.
func (j *job) collect(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return j.takeTree(ctx) })
	g.Go(func() error { j.askPage(ctx); return nil })
	if j.withDump {
		g.Go(func() error { return j.takeDump(ctx) })
	}
	return g.Wait()
}

// pageTimeout bounds the question for the page: a site that hangs is backed up all the same.
const pageTimeout = 30 * time.Second

// pageTries is how often it is asked again when the connection breaks.
const pageTries = 4

// askPage notes what the site answers now: a restore of this backup has to answer the same.
func (j *job) askPage(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	page, err := j.probe(ctx)
	for n := 0; n < pageTries && errs.Temporary(err) && ctx.Err() == nil; n++ {
		if j.wait(ctx, backoff(n)) == nil {
			page, err = j.probe(ctx)
		}
	}
	switch {
	case err != nil: // takeTree says so
	case page.Status > 0:
		j.page = strconv.Itoa(page.Status)
	default:
		j.page = labelNoAnswer
	}
}

func (j *job) probe(ctx context.Context) (model.PageProbe, error) {
	web, err := j.deps.Agents.Web(ctx, j.source)
	if err != nil {
		return model.PageProbe{}, err
	}
	return web.ProbeSite(ctx, j.q.Site.Ref(), j.q.Task, "/")
}

// level is the compression level that the agents shall take.
func (j *job) level() int {
	if j.q.Format == store.TarZst {
		return j.deps.ZstdLevel
	}
	return 0
}

func (j *job) what() string {
	if j.withDump {
		return "files and database"
	}
	return "files"
}

func (j *job) storeError(err error) error {
	if err == nil {
		return nil
	}
	return store.WriteError("backup "+j.pending.ID(), err)
}

func (j *job) manifest() *archivev1.Manifest {
	m := &archivev1.Manifest{
		Site: j.q.Site.Name, SiteKind: j.q.Site.Kind, BackupId: j.pending.ID(), CreatedAt: timestamppb.New(j.started),
		Description: j.q.Description, Software: j.deps.Software, Warnings: j.counts.warnings(),
		Sources: []*archivev1.SourceServer{{Name: j.source, Role: string(model.RoleWeb), Subject: j.q.Site.Root, Software: j.software[0]}},
		Labels:  map[string]string{LabelOrigin: string(j.q.Origin)},
	}
	m.Labels[LabelSinceFull] = strconv.Itoa(j.sinceFull)
	m.Labels[LabelDocroot] = j.q.Site.Docroot
	if len(j.blanked) > 0 {
		m.Labels[LabelBlanked] = strings.ToValidUTF8(strings.Join(j.blanked, "\n"), "\uFFFD")
	}
	if j.page != "" {
		m.Labels[LabelPageStatus] = j.page
	}
	if j.withDump {
		m.Dump = j.dumpManifest()
		m.Labels[LabelCollations] = collations(j.dump.Collations)
		m.Sources = append(m.Sources, &archivev1.SourceServer{
			Name: j.q.Site.DBServer, Role: string(model.RoleDB), Subject: j.q.Site.Database.Name, Software: j.software[1]})
	}
	return m
}

// Labels of a manifest.
const (
	LabelOrigin     = "origin"      // see model.Origin
	LabelPageStatus = "page_status" // HTTP status of the site's page when it was backed up; "none" if nothing answered
	LabelSinceFull  = "since_full"  // how many backups ago everything was read; 0: in this one
	LabelCollations = "collations"  // that the dump needs, separated by spaces
	LabelBlanked    = "blanked"     // settings files whose password is empty in the backup: paths below the root, one a line
	LabelDocroot    = "docroot"     // the directory that the web server serves, absolute
)
