package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
)

// History is what is on record of a site's tasks, newest first.
type History interface {
	Tasks(ctx context.Context, f catalogue.TaskFilter) (tasks []model.Task, next string, err error)
}

// Estimate is how long a site will be down, and how that is known.
type Estimate struct {
	Downtime time.Duration // 0: nothing is known
	Basis    string
}

// estimate goes by the site's last restore, and without one by its last backup: while the site is down a backup is made,
// of what has changed, two directories are exchanged, and the page is asked for.
func (r *Restorer) estimate(ctx context.Context, w *run) (Estimate, error) {
	switch {
	case w.basis.New:
		return Estimate{Basis: "nobody visits a site that is made only now"}, nil
	case r.deps.History == nil:
		return unknownDowntime(), nil
	}
	list, _, err := r.deps.History.Tasks(ctx, catalogue.TaskFilter{
		Site: w.basis.Site.Name, States: []model.TaskState{model.TaskSucceeded, model.TaskWarning},
	})
	if err != nil {
		return Estimate{}, err
	}
	if t, down := lastRestore(list); down > 0 {
		return Estimate{down, fmt.Sprintf("as long as in the last restore, of %s", t.FinishedAt.UTC().Format(time.DateTime))}, nil
	}
	t, took := lastBackup(list)
	if took <= 0 {
		return unknownDowntime(), nil
	}
	page, err := w.slowestPage(ctx, w.basis.before())
	if err != nil {
		return Estimate{}, err
	}
	return Estimate{took + page, fmt.Sprintf("as long as the last backup took, %s on %s, and the page takes, %s; exchange and reload come on top",
		rounded(took), t.FinishedAt.UTC().Format(time.DateTime), rounded(page))}, nil
}

func unknownDowntime() Estimate {
	return Estimate{Basis: "neither a restore nor a backup of the site is on record yet"}
}

func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

func lastRestore(list []model.Task) (model.Task, time.Duration) {
	for _, t := range list {
		var o Outcome
		if t.Kind == model.TaskRestore && json.Unmarshal(t.Result, &o) == nil && o.Downtime > 0 {
			return t, o.Downtime
		}
	}
	return model.Task{}, 0
}

func lastBackup(list []model.Task) (model.Task, time.Duration) {
	for _, t := range list {
		if t.Kind == model.TaskBackup {
			return t, t.FinishedAt.Sub(t.StartedAt)
		}
	}
	return model.Task{}, 0
}

// slowestPage asks every web server for the page. One that does not answer it takes no time.
func (r *run) slowestPage(ctx context.Context, site *model.Site) (time.Duration, error) {
	var took perServer[time.Duration]
	err := r.eachWebOf(ctx, site.WebServers, func(ctx context.Context, server string, web Web) error {
		p, err := web.ProbeSite(ctx, site.Ref(), "", "/")
		took.set(server, p.Took)
		return r.tolerate(server, "the page cannot be asked for", err)
	})
	slowest := time.Duration(0)
	for _, d := range took.m {
		slowest = max(slowest, d)
	}
	return slowest, err
}
