package intake

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/pkg/archive"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// assemble makes the tarball of the backup, puts it into the store and lists it.
func (j *job) assemble(ctx context.Context) error {
	format := cmp.Or(j.q.Format, backup.DefaultFormat)
	level := 0
	if format == store.TarZst {
		level = j.deps.ZstdLevel
	}
	codec, err := archive.NewCodec(archive.Format(format), level)
	if err != nil {
		return errs.New(errs.Usage, "use tar.zst or tar.gz", "%w", err)
	}
	if err := j.create(ctx, format); err != nil {
		return err
	}
	defer j.pending.Abort() //nolint:errcheck // Sweep removes what is left
	dir := filepath.Dir(j.pending.File().Name())
	align, err := archive.ProbeSharedBlocks(dir)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	j.assembler, err = archive.NewAssembler(archive.AssemblerOptions{File: j.pending.File(), SpoolDir: dir, Codec: codec, Align: align})
	if err != nil {
		return store.WriteError("the tarball", err)
	}
	defer j.assembler.Abort()
	if err := j.pack(ctx, codec); err != nil {
		return err
	}
	return j.record(ctx, format)
}

// pack goes through dump and files one after the other: both ask for room.
func (j *job) pack(ctx context.Context, codec archive.Codec) error {
	if err := j.packDump(ctx, codec); err != nil {
		return err
	}
	return j.packTree(ctx, codec)
}

// clashes is how many backups of one site may begin in the same second.
const clashes = 20

func (j *job) create(ctx context.Context, format string) error {
	estimate := min(j.in.size, j.content.size) // it is compressed again, as well as before
	if j.dump != nil {
		estimate += j.dump.data.Size() / 4
	}
	var err error
	for n := range clashes {
		id := model.BackupID(j.q.Site, j.started, n)
		if j.pending, err = j.deps.Store.Create(ctx, id, format, estimate); !errs.Is(err, errs.Exists) {
			return err
		}
	}
	return err
}

// record closes the tarball, puts it into the store and lists it, in this order.
func (j *job) record(ctx context.Context, format string) error {
	m := j.describe()
	result, err := j.assembler.Finish(ctx, m)
	if err != nil {
		return store.WriteError("the tarball", err)
	}
	b := &model.Backup{
		ID: j.pending.ID(), Site: j.q.Site, CreatedAt: j.started.UTC().Truncate(time.Second), Description: m.Description, Format: format,
		Size: result.Size, NewBytes: result.NewBytes, PlainSize: result.PlainBytes, Files: j.result.Entries,
		Digest: "sha256:" + result.Digest.String(), Origin: model.OriginImported, Warnings: m.Warnings,
	}
	for _, t := range m.GetDump().GetTables() {
		b.Tables++
		b.Rows += int64(t.GetRows())
	}
	sidecar, err := backup.Sidecar(b, m)
	if err != nil {
		return err
	}
	if err := j.pending.Commit(ctx, sidecar, func(ctx context.Context) error { return j.deps.Catalogue.InsertBackup(ctx, *b) }); err != nil {
		return err
	}
	j.backup = b
	return nil
}

// The labels of an imported backup's manifest, beside those of package backup.
const (
	LabelSource  = "imported_from" // the tarball's name
	LabelOldName = "old_name"      // what the site was called there
	LabelDocroot = "docroot"       // the directory that is served, relative to the root; absent: the root
)

// describe makes the manifest.
func (j *job) describe() *archivev1.Manifest {
	m := &archivev1.Manifest{
		Site: j.q.Site, SiteKind: j.kind, BackupId: j.pending.ID(), CreatedAt: timestamppb.New(j.started),
		Description: cmp.Or(j.q.Description, "Imported from "+source(j.q)), Software: j.deps.Software, Warnings: j.warn.all(),
		Labels: map[string]string{backup.LabelOrigin: string(model.OriginImported)},
	}
	for label, value := range map[string]string{LabelSource: j.q.Source, LabelOldName: j.oldName, LabelDocroot: j.docroot} {
		if value != "" {
			m.Labels[label] = strings.ToValidUTF8(value, "\uFFFD")
		}
	}
	if j.dump != nil {
		m.Dump = j.dumpManifest()
		m.Labels[backup.LabelCollations] = strings.Join(j.adopted.Collations, " ")
	}
	return m
}
