package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/retention"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// Shelf lists backups and what is to be kept of them; internal/catalogue does.
type Shelf interface {
	Retentions(ctx context.Context) ([]model.Retention, error)
	// RetentionBackups returns all backups by site, each newest first. They are shared, and not to be changed.
	RetentionBackups(ctx context.Context) ([][]retention.Backup, error)
	// PruneBackup takes a backup off the list. It refuses (errs.Precondition) one
	// that is pinned, or that no newer one can stand for, by what is listed at that moment.
	PruneBackup(ctx context.Context, id string) error
}

// Store removes tarballs. Confirm is called before anything of one goes; its error keeps the tarball.
type Store interface {
	Delete(ctx context.Context, id string, confirm func(context.Context) error) error
}

// Readers says who reads backups.
type Readers interface {
	// Restoring returns the id of a task that restores a site now, or "".
	Restoring(ctx context.Context, site string) (task string, err error)
}

// Clock says whether the wall clock can be trusted; *clock.Watch, with the present reading, does.
type Clock func() (trusted bool, why string, from time.Time)

// Pruner removes the backups that retention lets go.
type Pruner struct {
	Shelf   Shelf
	Store   Store
	Readers Readers
	Clock   Clock
	Now     func() time.Time
}

// PruneSpec is the request of a prune task.
type PruneSpec struct {
	TrustClock bool // an operator has looked at the clock
}

// PruneResult is the outcome of a prune task.
type PruneResult struct {
	Removed int   `json:"removed"`
	Kept    int   `json:"kept"`
	Freed   int64 `json:"freed"` // bytes
}

// Plan says what becomes of each backup now. It is the very plan that Handle carries out.
func (p *Pruner) Plan(ctx context.Context) (retention.Plan, error) { return p.PlanAs(ctx, nil) }

// PlanAs is the plan as if proposed was set in place of what is set for the same sites; nil proposes nothing. What
// cannot be set is errs.Usage.
func (p *Pruner) PlanAs(ctx context.Context, proposed *model.Retention) (retention.Plan, error) {
	list, err := p.Shelf.Retentions(ctx)
	if err != nil {
		return retention.Plan{}, err
	}
	if proposed != nil {
		if err := CheckRetention(proposed); err != nil {
			return retention.Plan{}, err
		}
		list = append(list, *proposed) // the later one holds
	}
	rules, err := rulesOf(list)
	if err != nil {
		return retention.Plan{}, err
	}
	// A client's budget is over all its sites, so all are looked at.
	sites, err := p.Shelf.RetentionBackups(ctx)
	if err != nil {
		return retention.Plan{}, err
	}
	return retention.Make(p.Now(), sites, rules.of, rules.budgets), nil
}

// Doubt says why nothing may be removed now, or "".
func (p *Pruner) Doubt() string {
	trusted, why, from := p.Clock()
	if trusted {
		return ""
	}
	return fmt.Sprintf("%s; nothing is removed before %s", why, from.UTC().Format(time.RFC3339))
}

// Handle is the handler of prune tasks.
func (p *Pruner) Handle(ctx context.Context, t *tasks.Run) (any, error) {
	var spec PruneSpec
	if err := t.Spec(&spec); err != nil {
		return nil, err
	}
	if why := p.Doubt(); why != "" && !spec.TrustClock {
		return nil, errs.New(errs.Precondition, "look at this machine's clock; if it is right: sitekeep prune --trust-clock", "%s", why)
	}
	plan, err := p.Plan(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range plan.Excess {
		t.Warn("%s", ExcessText(e))
	}
	return p.carryOut(ctx, t, plan)
}

// ExcessText says in words that a budget is exceeded.
func ExcessText(e retention.Excess) string {
	whose := "all backups"
	if e.Client != "" {
		whose = "the backups of client " + e.Client
	}
	return fmt.Sprintf("%s take %s, more than their budget of %s, and none of them may go", whose, bytesize.Text(e.Size), bytesize.Text(e.Most))
}

func (p *Pruner) carryOut(ctx context.Context, t *tasks.Run, plan retention.Plan) (PruneResult, error) {
	var r PruneResult
	for _, d := range plan.Decisions {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if d.Keep {
			r.Kept++
			continue
		}
		gone, err := p.remove(ctx, t, d)
		if err != nil {
			return r, fmt.Errorf("remove backup %s: %w", d.Backup.ID, err)
		}
		if !gone {
			r.Kept++
			continue
		}
		r.Removed++
		r.Freed += d.Backup.Size
		t.Progress("removing", r.Freed, plan.Freed, int64(r.Removed))
	}
	t.Info("%d backups removed, %d stay; %s are free again", r.Removed, r.Kept, bytesize.Text(r.Freed))
	return r, nil
}

// remove removes one backup, unless something has changed since the plan was made.
func (p *Pruner) remove(ctx context.Context, t *tasks.Run, d retention.Decision) (bool, error) {
	id := d.Backup.ID
	reader, err := p.Readers.Restoring(ctx, d.Backup.Site)
	if err != nil {
		return false, err
	}
	if reader != "" {
		t.Info("%s stays for now: its site is being restored by task %s", id, reader)
		return false, nil
	}
	err = p.Store.Delete(ctx, id, func(ctx context.Context) error { return p.Shelf.PruneBackup(ctx, id) })
	switch {
	case errs.Is(err, errs.Precondition):
		t.Info("%s stays: %v", id, err)
		return false, nil
	case errs.Is(err, errs.NotFound): // somebody else has removed it
		return false, nil
	case err != nil:
		return false, err
	}
	t.Info("%s removed: %s", id, d.Why())
	return true, nil
}
