package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/lease"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// Spec is the request of a backup task.
type Spec struct {
	Description string
	Format      string
	Full        bool
	Quiesce     bool // the site is in maintenance while it is read
	// Patient: nobody waits for this one backup, as of many that were asked for at once. It waits long for an agent that is away.
	Patient bool `json:",omitempty"`
	// Schedule is the one that asked for it, and Tick when it came; empty for an operator's.
	Schedule string    `json:",omitempty"`
	Tick     time.Time `json:",omitzero"`
}

func (s *Spec) origin() model.Origin {
	if s.Schedule != "" {
		return model.OriginScheduled
	}
	return model.OriginManual
}

// Result is the outcome of a backup task.
type Result struct {
	Backup string `json:"backup"`
}

// Sites is the inventory as backups need it.
type Sites interface {
	Site(ctx context.Context, name string) (model.Site, error)
	// BackupOfTask returns the backup of a site that a task has made; errs.NotFound if there is none.
	BackupOfTask(ctx context.Context, site, task string) (model.Backup, error)
}

// Handler makes the handler of backup tasks.
func Handler(m *Maker, sites Sites) tasks.Handler {
	return func(ctx context.Context, t *tasks.Run) (any, error) {
		var spec Spec
		if err := t.Spec(&spec); err != nil {
			return nil, err
		}
		site, err := sites.Site(ctx, t.Task.Site)
		if err != nil {
			return nil, err
		}
		if made, err := m.madeBefore(ctx, t, sites, &site, spec.Quiesce); made != nil || err != nil {
			return made, err
		}
		b, err := m.quiesced(ctx, t, &site, spec.Quiesce, func(ctx context.Context) (*model.Backup, error) {
			return m.Make(ctx, Request{
				Site: site, Task: t.Task.ID, Description: spec.Description, Format: spec.Format,
				Origin: spec.origin(), Full: spec.Full, Gentle: !spec.Quiesce,
			}, t)
		})
		if err != nil {
			return nil, err
		}
		t.Log(model.LevelInfo, "backup %s: %d files, %d tables, %d rows, %d bytes, of them %d new",
			b.ID, b.Files, b.Tables, b.Rows, b.Size, b.NewBytes)
		return Result{Backup: b.ID}, nil
	}
}

// madeBefore finds what the task has made already: a master that died between the backup's record and the task's. It is
// nil if there is nothing.
func (m *Maker) madeBefore(ctx context.Context, t *tasks.Run, sites Sites, site *model.Site, quiesce bool) (any, error) {
	if t.Task.Attempt < 2 {
		return nil, nil
	}
	b, err := sites.BackupOfTask(ctx, site.Name, t.Task.ID)
	switch {
	case errs.Is(err, errs.NotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if quiesce {
		m.endMaintenance(ctx, t, site)
	}
	for _, w := range b.Warnings {
		t.Warn("%s", w)
	}
	t.Log(model.LevelInfo, "backup %s was made before the master was restarted", b.ID)
	return Result{Backup: b.ID}, nil
}

const (
	// leaseTime is how long a quiesced site stays in maintenance after the master was last heard of.
	leaseTime  = 2 * time.Minute
	renewEvery = leaseTime / 6
	endTimeout = 30 * time.Second
)

// quiesced runs f, with the site in maintenance if asked for.
func (m *Maker) quiesced(ctx context.Context, t *tasks.Run, site *model.Site, quiesce bool, f func(context.Context) (*model.Backup, error)) (*model.Backup, error) {
	if !quiesce {
		return f(ctx)
	}
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	keeper := &lease.Keeper{Every: renewEvery, Lost: lost, Renew: func(ctx context.Context) error {
		return m.eachWeb(ctx, site, func(web Web) error { return web.RenewMaintenance(ctx, site.Ref(), t.Task.ID, leaseTime) })
	}}
	// The end is announced before the beginning: a beginning that fails half way is ended too.
	defer m.endMaintenance(ctx, t, site)
	err := m.eachWeb(ctx, site, func(web Web) error {
		closing, err := web.BeginMaintenance(ctx, site.Ref(), t.Task.ID, leaseTime)
		switch {
		case closing.Warning != "":
			t.Warn("%s", closing.Warning)
		case closing.By != "":
			t.Log(model.LevelInfo, "visitors are kept out by %s", closing.By)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("maintenance of %s: %w", site.Name, err)
	}
	keeper.Keep(ctx)
	defer keeper.Stop()
	b, err := f(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	return b, err
}

func (m *Maker) endMaintenance(ctx context.Context, t *tasks.Run, site *model.Site) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	err := m.eachWeb(ctx, site, func(web Web) error { return web.EndMaintenance(ctx, site.Ref(), t.Task.ID) })
	if err != nil {
		t.Warn("maintenance ends by itself within %s: %v", leaseTime, err)
	}
}

// eachWeb calls f for every web server of the site, whatever became of the others.
func (m *Maker) eachWeb(ctx context.Context, site *model.Site, f func(Web) error) error {
	var found []error
	for _, server := range site.WebServers {
		web, err := m.deps.Agents.Web(ctx, server)
		if err == nil {
			err = f(web)
		}
		found = append(found, err)
	}
	return errors.Join(found...)
}
