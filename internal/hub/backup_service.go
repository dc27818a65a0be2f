package hub

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/restore"
	"github.com/sitekeep/sitekeep/internal/tasks"
	"github.com/sitekeep/sitekeep/pkg/archive"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

const (
	latest          = "latest"
	longDescription = 1000 // characters
)

type backupService struct {
	sitekeepv1.UnimplementedBackupServiceServer
	*Hub
}

// backup returns a backup that the caller may see. "latest" is the newest one of site.
func (h *Hub) backup(ctx context.Context, id, site string) (model.Backup, error) {
	if id == latest {
		if site == "" {
			return model.Backup{}, errs.New(errs.Usage, "name the backup, or the site with it", "latest of which site?")
		}
		if _, err := h.site(ctx, site); err != nil {
			return model.Backup{}, err
		}
		return h.Catalogue.LatestBackup(ctx, site)
	}
	b, err := h.Catalogue.Backup(ctx, id)
	if err != nil || callerFrom(ctx).client == "" {
		return b, err
	}
	if _, err := h.site(ctx, b.Site); err != nil {
		return model.Backup{}, errs.New(errs.NotFound, "list them with: sitekeep backups", "no backup %q", id) // as the catalogue says it of one that is not there
	}
	return b, nil
}

func (s *backupService) CreateBackup(ctx context.Context, q *sitekeepv1.CreateBackupRequest) (*sitekeepv1.CreateBackupResponse, error) {
	if _, err := s.site(ctx, q.Site); err != nil {
		return nil, err
	}
	spec, err := backupSpec(q)
	if err != nil {
		return nil, err
	}
	spec.Patient = q.Detached
	t, err := s.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskBackup, Site: q.Site, Spec: spec, Queue: q.Queue})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.CreateBackupResponse{Task: taskToProto(&t)}, nil
}

// backupWish is what requests for backups have in common.
type backupWish interface {
	GetDescription() string
	GetFormat() string
	GetFull() bool
	GetQuiesce() bool
}

// backupSpec fills in what a request leaves out, and checks the rest.
func backupSpec(q backupWish) (backup.Spec, error) {
	spec := backup.Spec{Description: q.GetDescription(), Format: q.GetFormat(), Full: q.GetFull(), Quiesce: q.GetQuiesce()}
	if spec.Description == "" {
		spec.Description = backup.DefaultDescription
	}
	if spec.Format == "" {
		spec.Format = backup.DefaultFormat
	}
	if _, err := archive.ParseFormat(spec.Format); err != nil {
		return spec, errs.New(errs.Usage, "use tar.zst or tar.gz", "%w", err)
	}
	if n := utf8.RuneCountInString(spec.Description); n > longDescription {
		return spec, errs.New(errs.Usage, "shorten it", "the description has %d characters, more than %d", n, longDescription)
	}
	return spec, nil
}

func (s *backupService) ListBackups(ctx context.Context, q *sitekeepv1.ListBackupsRequest) (*sitekeepv1.ListBackupsResponse, error) {
	if err := s.mayList(ctx, q.Site); err != nil {
		return nil, err
	}
	limit := int(q.PageSize)
	if limit <= 0 {
		limit = 1000
	}
	list, next, err := s.Catalogue.Backups(ctx, catalogue.BackupFilter{Site: q.Site, Client: callerFrom(ctx).client, Limit: limit, After: q.PageToken})
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.ListBackupsResponse{NextPageToken: next}
	for i := range list {
		out.Backups = append(out.Backups, backupToProto(&list[i]))
	}
	return out, nil
}

// mayList: a site that was removed still has its backups listed; one that never was is not found.
func (s *backupService) mayList(ctx context.Context, site string) error {
	if site == "" {
		return nil
	}
	_, err := s.site(ctx, site)
	if !errs.Is(err, errs.NotFound) || callerFrom(ctx).client != "" {
		return err
	}
	if usage, uerr := s.Catalogue.SiteUsage(ctx, site); uerr == nil && usage.Count > 0 {
		return nil
	}
	return err
}

func (s *backupService) GetBackup(ctx context.Context, q *sitekeepv1.GetBackupRequest) (*sitekeepv1.GetBackupResponse, error) {
	b, err := s.backup(ctx, q.Id, q.Site)
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.GetBackupResponse{Backup: backupToProto(&b)}, nil
}

func (s *backupService) PinBackup(ctx context.Context, q *sitekeepv1.PinBackupRequest) (*sitekeepv1.PinBackupResponse, error) {
	b, err := s.backup(ctx, q.Id, "")
	if err != nil {
		return nil, err
	}
	reason := ""
	if q.Pinned {
		reason = "pinned by " + callerFrom(ctx).name
	}
	b, err = s.Catalogue.UpdateBackup(ctx, b.ID, catalogue.BackupChange{Pinned: &q.Pinned, PinReason: &reason})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.PinBackupResponse{Backup: backupToProto(&b)}, nil
}

// DeleteBackup takes the backup off the list before anything of it goes.
func (s *backupService) DeleteBackup(ctx context.Context, q *sitekeepv1.DeleteBackupRequest) (*sitekeepv1.DeleteBackupResponse, error) {
	b, err := s.backup(ctx, q.Id, "")
	if err != nil {
		return nil, err
	}
	if b.Pinned {
		return nil, errs.New(errs.Precondition, "if it may go: sitekeep unpin "+b.ID, "backup %s is pinned: %s", b.ID, b.PinReason)
	}
	if err := s.notInUse(ctx, &b); err != nil {
		return nil, err
	}
	err = s.Store.Delete(ctx, b.ID, func(ctx context.Context) error { return s.Catalogue.DeleteBackup(ctx, b.ID) })
	return &sitekeepv1.DeleteBackupResponse{}, err
}

// notInUse refuses to delete what a restore may be reading.
func (s *backupService) notInUse(ctx context.Context, b *model.Backup) error {
	list, _, err := s.Catalogue.Tasks(ctx, catalogue.TaskFilter{States: []model.TaskState{model.TaskRunning}})
	if err != nil {
		return err
	}
	for _, t := range list {
		if id, of := restore.Reading(&t); id == b.ID || t.Site == b.Site && t.Kind == model.TaskRestore || of == b.Site {
			return errs.New(errs.Busy, "follow it with: sitekeep task log -f "+t.ID, "site %s is being restored by task %s", t.Site, t.ID)
		}
	}
	return nil
}

func (s *backupService) CheckBackups(ctx context.Context, q *sitekeepv1.CheckBackupsRequest) (*sitekeepv1.CheckBackupsResponse, error) {
	if q.All {
		if err := unscoped(ctx); err != nil {
			return nil, err
		}
	}
	if q.All == (len(q.Ids) > 0) {
		return nil, errs.New(errs.Usage, "name backups, or give --all", "which backups?")
	}
	for _, id := range q.Ids {
		if _, err := s.backup(ctx, id, ""); err != nil {
			return nil, err
		}
	}
	t, err := s.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskCheck, Spec: backup.CheckSpec{IDs: q.Ids, ReadData: q.ReadData}})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.CheckBackupsResponse{Task: taskToProto(&t)}, nil
}

// DownloadBackup hashes what it sends, so that the other side knows that all of it came.
func (s *backupService) DownloadBackup(q *sitekeepv1.DownloadBackupRequest, stream sitekeepv1.BackupService_DownloadBackupServer) error {
	ctx := stream.Context()
	b, err := s.backup(ctx, q.Id, "")
	if err != nil {
		return err
	}
	blob, err := s.Store.Open(ctx, b.ID, b.Format)
	if err != nil {
		return err
	}
	defer blob.Close()
	if err := stream.Send(&sitekeepv1.DownloadBackupResponse{Backup: backupToProto(&b)}); err != nil {
		return err
	}
	sum, err := copyChunks(blob, blob.Size(), func(data []byte) error {
		return stream.Send(&sitekeepv1.DownloadBackupResponse{Data: data})
	})
	if err != nil {
		return fmt.Errorf("download %s: %w", b.ID, err)
	}
	return stream.Send(&sitekeepv1.DownloadBackupResponse{Sha256: sum})
}

func backupToProto(b *model.Backup) *sitekeepv1.Backup {
	return &sitekeepv1.Backup{
		Id: b.ID, Site: b.Site, CreatedAt: timeToProto(b.CreatedAt), Description: b.Description, Format: b.Format, Size: b.Size,
		NewBytes: b.NewBytes, Files: b.Files, Digest: b.Digest, Pinned: b.Pinned, PinReason: b.PinReason, Warnings: b.Warnings,
		PlainSize: b.PlainSize, Tables: b.Tables, Rows: b.Rows, Origin: string(b.Origin), Task: b.TaskID,
	}
}
