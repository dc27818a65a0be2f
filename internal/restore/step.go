package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// memo marshals what a step must remember. It never holds a secret.
func memo(v any) (saga.Memo, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("memo: %w", err)
	}
	return b, nil
}

func remember[T any](m saga.Memo) (T, error) {
	var v T
	if err := json.Unmarshal(m, &v); err != nil {
		return v, fmt.Errorf("memo %q: %w", m, err)
	}
	return v, nil
}

// onWebServer is one server's share of a step.
type onWebServer = func(ctx context.Context, server string, web Web) error

// eachServer calls f for every web server of the site at the same time and
// waits for all of them: one that is away must not keep the others from their
// part. With parallel set to 1 they come one after the other.
func (r *run) eachServer(f func(server string) error) error {
	return r.eachOf(r.basis.Site.WebServers, f)
}

func (r *run) eachOf(servers []string, f func(server string) error) error {
	found := make([]error, len(servers))
	var g errgroup.Group
	if r.parallel > 0 {
		g.SetLimit(r.parallel)
	}
	for i, server := range servers {
		g.Go(func() error {
			if err := f(server); err != nil {
				found[i] = fmt.Errorf("server %s: %w", server, err)
			}
			return nil
		})
	}
	_ = g.Wait() // what went wrong is in found
	return worst(found)
}

func (r *run) onServer(ctx context.Context, server string, f onWebServer) error {
	web, err := r.agents.Web(ctx, server)
	if err != nil {
		return err
	}
	return f(ctx, server, web)
}

// eachWeb calls f for every web server of the site.
func (r *run) eachWeb(ctx context.Context, f onWebServer) error {
	return r.eachWebOf(ctx, r.basis.Site.WebServers, f)
}

func (r *run) eachWebOf(ctx context.Context, servers []string, f onWebServer) error {
	return r.eachOf(servers, func(server string) error { return r.onServer(ctx, server, f) })
}

// undoEach is eachWeb for undos. It leaves out a server on which a later step
// is still to be undone, so that the order holds on each server by itself: one
// that is away keeps none of the others in maintenance. And it leaves out those
// on which the step has been undone, so that they are not disturbed while the
// others are waited for. Its steps say so by UndoAfter.
func (r *run) undoEach(ctx context.Context, step string, f onWebServer) error {
	return r.undoEachOf(ctx, r.basis.Site.WebServers, step, f)
}

func (r *run) undoEachOf(ctx context.Context, servers []string, step string, f onWebServer) error {
	return r.eachOf(servers, func(server string) error {
		waits, done := r.backlog.state(server, step)
		switch {
		case done:
			return nil
		case waits != "":
			return errs.New(errs.Unreachable, "", "%s is to be undone there first", waits)
		}
		err := r.onServer(ctx, server, f)
		r.backlog.note(server, step, err)
		return err
	})
}

// backlog has what could not be undone yet, by server. After a restart it
// fills again, since undoing begins with the last step that was not undone
// everywhere; what is undone twice then ends the same.
type backlog struct {
	mu    sync.Mutex
	waits map[string]string          // step that is to be undone before any earlier one
	done  map[string]map[string]bool // steps that are undone
}

func (b *backlog) state(server, step string) (waits string, done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := b.waits[server]; w != step {
		waits = w
	}
	return waits, b.done[server][step]
}

func (b *backlog) note(server, step string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waits == nil {
		b.waits, b.done = map[string]string{}, map[string]map[string]bool{}
	}
	if err != nil {
		b.waits[server] = step
		return
	}
	delete(b.waits, server)
	if b.done[server] == nil {
		b.done[server] = map[string]bool{}
	}
	b.done[server][step] = true
}

// worst joins errors, one that will not pass by itself first: it decides what happens next.
func worst(found []error) error {
	var lasting, passing []error
	for _, err := range found {
		switch {
		case err == nil:
		case errs.Temporary(err):
			passing = append(passing, err)
		default:
			lasting = append(lasting, err)
		}
	}
	return errors.Join(append(lasting, passing...)...)
}

// perServer collects values by server from several goroutines.
type perServer[T any] struct {
	mu sync.Mutex
	m  map[string]T
}

func (p *perServer[T]) set(server string, v T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = map[string]T{}
	}
	p.m[server] = v
}

// servers are those that have a value, in order. It is for when the goroutines have ended.
func (p *perServer[T]) servers() []string { return slices.Sorted(maps.Keys(p.m)) }

// db calls f with the agent of the site's database server.
func (r *run) db(ctx context.Context, f func(DB) error) error {
	return r.dbOn(ctx, r.basis.Site.DBServer, f)
}

func (r *run) dbOn(ctx context.Context, server string, f func(DB) error) error {
	db, err := r.agents.DB(ctx, server)
	if err == nil {
		err = f(db)
	}
	if err != nil {
		return fmt.Errorf("server %s: %w", server, err)
	}
	return nil
}

// drop drops a database with its user, and says what was left.
func (r *run) drop(ctx context.Context, db DB, name, user string) error {
	return r.dropOn(ctx, r.basis.Site.DBServer, db, name, user)
}

func (r *run) dropOn(ctx context.Context, server string, db DB, name, user string) error {
	warnings, err := db.DropDatabase(ctx, name, user)
	for _, w := range warnings {
		r.log.Warn("%s: %s", server, w)
	}
	return err
}

// independent is a step on web servers whose undo does not wait for later steps on all of them: see undoEach.
type independent struct{}

// UndoAfter names nothing.
func (independent) UndoAfter() []string { return nil }
