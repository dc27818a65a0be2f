package backup

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"strconv"
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

	counts   counts
	tree     archive.Summary
	dump     model.DumpSummary
	sql      archive.Summary
	page     string    // see LabelPageStatus
	software [2]string // of the web and of the database agent
}

// openBase finds the backup whose unchanged frames are taken over. Without one the backup reads everything.
func (j *job) openBase(ctx context.Context) {
	if j.q.Full {
		j.log.Log(model.LevelInfo, "reading everything, as asked")
		return
	}
	last, err := j.deps.Catalogue.LatestBase(ctx, j.q.Site.Name, j.q.Format)
	if errs.Is(err, errs.NotFound) {
		return
	}
	if err == nil {
		j.base, err = OpenTarball(ctx, j.deps.Store, &last)
	}
	if err != nil {
		j.counts.warn(j.log, fmt.Sprintf("there is no earlier backup to build on, so everything is read: %v", err))
	}
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

func (j *job) closeBase() {
	if j.base == nil {
		return
	}
	if err := j.base.Close(); err != nil {
		j.deps.Server.Warn("closing a base", "site", j.q.Site.Name, "error", err)
	}
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
	if err := j.collect(ctx); err != nil {
		return nil, err
	}
	return j.finish(ctx)
}

// collect takes files and dump at the same time, and asks for the page meanwhile.
func (j *job) collect(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return j.readTree(ctx) })
	g.Go(func() error { j.askPage(ctx); return nil })
	if j.withDump {
		g.Go(func() error { return j.readDump(ctx) })
	}
	return g.Wait()
}

// pageTimeout bounds the question for the page: a site that hangs is backed up all the same.
const pageTimeout = 30 * time.Second

// askPage notes what the site answers now: a restore of this backup has to answer the same.
func (j *job) askPage(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	web, err := j.deps.Agents.Web(ctx, j.q.Site.WebServers[0])
	if err != nil {
		return // readTree says so
	}
	page, err := web.ProbeSite(ctx, j.q.Site.Ref(), j.q.Task, "/")
	switch {
	case err != nil:
	case page.Status > 0:
		j.page = strconv.Itoa(page.Status)
	default:
		j.page = labelNoAnswer
	}
}

func (j *job) readTree(ctx context.Context) error {
	web, err := j.deps.Agents.Web(ctx, j.q.Site.WebServers[0])
	if err != nil {
		return err
	}
	info, err := web.Info(ctx)
	if err != nil {
		return err
	}
	j.software[0] = info.Version
	var base iter.Seq2[archive.BaseFrame, error]
	request := model.TreeRequest{
		Site: j.q.Site.Ref(), Format: j.q.Format, Excludes: j.q.Site.Excludes, Salvage: j.q.Salvage, NoDump: !j.withDump,
		Level: j.level(),
	}
	if j.base != nil {
		base = j.base.BaseFrames(0)
		request.BaseStartedAt = j.base.Manifest().GetWalkStartedAt().AsTime()
	}
	if j.tree, err = web.ReadTree(ctx, request, base, j.emit); err != nil {
		return err
	}
	return j.storeError(j.assembler.CloseTree(j.tree))
}

// readDump marks as a dumpFailure what is the database's own fault: a store without room is not, nor an agent or a
// database server that is away, which may come back.
// level is the compression level that the agents shall take.
func (j *job) level() int {
	if j.q.Format == store.TarZst {
		return j.deps.ZstdLevel
	}
	return 0
}

func (j *job) readDump(ctx context.Context) error {
	var ours error
	err := j.dumpInto(ctx, func(ctx context.Context, it archive.Item) error {
		err := j.emit(ctx, it)
		if err != nil {
			ours = err
		}
		return err
	})
	switch {
	case err == nil:
		return j.storeError(j.assembler.CloseDump(j.sql))
	case ours != nil:
		return ours
	case errs.Temporary(err) || errs.Is(err, errs.Cancelled):
		return err
	}
	return dumpFailure{err}
}

func (j *job) dumpInto(ctx context.Context, emit Emit) error {
	db, err := j.deps.Agents.DB(ctx, j.q.Site.DBServer)
	if err != nil {
		return err
	}
	info, err := db.Info(ctx)
	if err != nil {
		return err
	}
	j.software[1] = info.Version
	var base iter.Seq2[archive.BaseDumpFrame, error]
	if j.base != nil && j.base.Manifest().GetDump() != nil {
		base = j.base.BaseDumpFrames(0)
	}
	request := model.DumpRequest{Database: j.q.Site.Database.Name, Format: j.q.Format, Level: j.level(), Salvage: j.q.Salvage}
	j.dump, j.sql, err = db.Dump(ctx, request, base, emit)
	return err
}

// emit takes one item, from either stream.
func (j *job) emit(ctx context.Context, it archive.Item) error {
	switch {
	case it.Frame != nil:
		if err := j.assembler.Append(ctx, *it.Frame); err != nil {
			return j.storeError(err)
		}
		j.progress(it.Frame.PlainLength, int64(len(it.Frame.Entries)))
	case it.Reference != nil:
		if err := j.assembler.AppendReference(ctx, j.base.Reader, *it.Reference); err != nil {
			return j.storeError(err)
		}
		j.progress(int64(it.Reference.Count)*archive.SliceSize/4, 0)
	case it.Warning != nil:
		j.counts.warn(j.log, it.Warning.String())
	}
	return nil
}

func (j *job) progress(bytes, files int64) {
	done, seen := j.counts.add(bytes, files)
	j.log.Progress("read "+j.what(), min(done, max(j.lastPlain, done)), max(j.lastPlain, done), seen)
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
		Sources: []*archivev1.SourceServer{{Name: j.q.Site.WebServers[0], Role: string(model.RoleWeb), Subject: j.q.Site.Root, Software: j.software[0]}},
		Labels:  map[string]string{LabelOrigin: string(j.q.Origin)},
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
	LabelCollations = "collations"  // that the dump needs, separated by spaces
)
