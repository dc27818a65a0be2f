package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

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

// eachWeb calls f for every web server of the site at the same time and waits
// for all of them: one that is away must not keep the others from their part.
func (r *run) eachWeb(ctx context.Context, f func(ctx context.Context, server string, web Web) error) error {
	found := make([]error, len(r.basis.Site.WebServers))
	var wg sync.WaitGroup
	for i, server := range r.basis.Site.WebServers {
		wg.Go(func() {
			web, err := r.agents.Web(ctx, server)
			if err == nil {
				err = f(ctx, server, web)
			}
			if err != nil {
				found[i] = fmt.Errorf("server %s: %w", server, err)
			}
		})
	}
	wg.Wait()
	return worst(found)
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

// perServer collects values by server while eachWeb runs.
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

// db calls f with the agent of the site's database server.
func (r *run) db(ctx context.Context, f func(DB) error) error {
	db, err := r.agents.DB(ctx, r.basis.Site.DBServer)
	if err == nil {
		err = f(db)
	}
	if err != nil {
		return fmt.Errorf("server %s: %w", r.basis.Site.DBServer, err)
	}
	return nil
}
