package backup

import (
	"context"
	"errors"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
)

// Shelf is the list of backups as safety backups need it.
type Shelf interface {
	Backup(ctx context.Context, id string) (model.Backup, error)
	Backups(ctx context.Context, f catalogue.BackupFilter) ([]model.Backup, string, error)
	UpdateBackup(ctx context.Context, id string, change catalogue.BackupChange) (model.Backup, error)
}

// Library gives restores the backups they read, and takes the ones they make
// before they touch anything.
type Library struct {
	Shelf
	Store Opener
	Maker *Maker
}

// Open opens a backup's tarball; see OpenTarball.
func (l *Library) Open(ctx context.Context, b *model.Backup) (*Tarball, error) {
	return OpenTarball(ctx, l.Store, b)
}

// Safety backs the site up as it is, whatever its state, and pins the backup
// until UnpinSafety: that of a restore which fails is for the next one to let go.
// A second call with the same task returns the first one's backup.
func (l *Library) Safety(ctx context.Context, site *model.Site, task, description string, log Log) (*model.Backup, error) {
	return l.safety(ctx, Request{Site: *site, Task: task, Description: description, Salvage: true}, log)
}

// Final backs the site up for a task that goes on with the backup in place of the site: as Safety, but nothing that cannot be
// read is left out.
func (l *Library) Final(ctx context.Context, site *model.Site, task, description string, log Log) (*model.Backup, error) {
	return l.safety(ctx, Request{Site: *site, Task: task, Description: description}, log)
}

func (l *Library) safety(ctx context.Context, q Request, log Log) (*model.Backup, error) {
	b, err := l.SafetyOf(ctx, q.Site.Name, q.Task)
	if err != nil || b != nil {
		return b, err
	}
	q.Format, q.Origin, q.PinReason = DefaultFormat, model.OriginSafety, pinReason(q.Task)
	return l.Maker.Make(ctx, q, log)
}

// Copy backs the site up for another task, such as a clone. A second call with
// the same task returns the first one's backup.
func (l *Library) Copy(ctx context.Context, site *model.Site, task, description string, log Log) (*model.Backup, error) {
	list, _, err := l.Backups(ctx, catalogue.BackupFilter{Site: site.Name})
	if err != nil {
		return nil, err
	}
	for _, b := range list {
		if b.TaskID == task {
			return &b, nil
		}
	}
	return l.Maker.Make(ctx, Request{Site: *site, Task: task, Description: description, Format: DefaultFormat, Origin: model.OriginManual}, log)
}

// SafetyOf finds the safety backup that a task has made; nil if there is none.
func (l *Library) SafetyOf(ctx context.Context, site, task string) (*model.Backup, error) {
	list, _, err := l.Backups(ctx, catalogue.BackupFilter{Site: site})
	if err != nil {
		return nil, err
	}
	for _, b := range list {
		if b.TaskID == task && b.Origin == model.OriginSafety {
			return &b, nil
		}
	}
	return nil, nil
}

// Newest finds a site's newest backup; nil if there is none.
func (l *Library) Newest(ctx context.Context, site string) (*model.Backup, error) {
	list, _, err := l.Backups(ctx, catalogue.BackupFilter{Site: site, Limit: 1})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// UnpinSafety ends the pin of the backup that Safety made for a task on a site,
// and those of earlier tasks on it that have failed: the site has left behind
// what they were kept for. What somebody has pinned stays so. It may be repeated.
func (l *Library) UnpinSafety(ctx context.Context, site, task string) error {
	own, err := l.SafetyOf(ctx, site, task)
	if err != nil || own == nil {
		return err
	}
	list, _, err := l.Backups(ctx, catalogue.BackupFilter{Site: site})
	for _, b := range list {
		if b.Pinned && b.PinReason == pinReason(b.TaskID) && !b.CreatedAt.After(own.CreatedAt) {
			err = errors.Join(err, l.unpin(ctx, b.ID))
		}
	}
	return err
}

func pinReason(task string) string { return "safety backup of task " + task }

func (l *Library) unpin(ctx context.Context, id string) error {
	no, none := false, ""
	_, err := l.UpdateBackup(ctx, id, catalogue.BackupChange{Pinned: &no, PinReason: &none})
	return err
}
