package backup

import (
	"context"

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
// until UnpinSafety. A second call with the same task returns the first one's backup.
func (l *Library) Safety(ctx context.Context, site *model.Site, task, description string, log Log) (*model.Backup, error) {
	b, err := l.ofTask(ctx, site.Name, task)
	if err != nil || b != nil {
		return b, err
	}
	return l.Maker.Make(ctx, Request{
		Site: *site, Task: task, Description: description, Format: DefaultFormat, Origin: model.OriginSafety,
		Salvage: true, PinReason: "safety backup of task " + task,
	}, log)
}

// ofTask finds the safety backup that a task has made; nil if there is none.
func (l *Library) ofTask(ctx context.Context, site, task string) (*model.Backup, error) {
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

// UnpinSafety ends the pin of the backup that Safety made for a task on a site. It may be repeated.
func (l *Library) UnpinSafety(ctx context.Context, site, task string) error {
	b, err := l.ofTask(ctx, site, task)
	if err != nil || b == nil || !b.Pinned {
		return err
	}
	no, none := false, ""
	_, err = l.UpdateBackup(ctx, b.ID, catalogue.BackupChange{Pinned: &no, PinReason: &none})
	return err
}
