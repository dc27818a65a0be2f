package saga

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// forward runs the stages. It returns the first failure, after every step that
// ran beside it has returned.
func (r *run) forward(ctx context.Context) error {
	stage := 0
	for stage < len(r.plan.Stages) {
		if err := r.runStage(ctx, stage); err != nil {
			return err
		}
		stage++
	}
	return nil
}

func (r *run) runStage(ctx context.Context, stage int) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.o.Parallel)
	for _, en := range r.entries {
		if en.stage == stage {
			g.Go(func() error { return r.runStep(gctx, en) })
		}
	}
	return g.Wait()
}

func (r *run) runStep(ctx context.Context, en *entry) error {
	if ctx.Err() != nil {
		return fmt.Errorf("before %s: %w", en.name, context.Cause(ctx))
	}
	if err := r.prepare(ctx, en); err != nil {
		return err
	}
	record := func() error {
		// A record whose writing failed may be there all the same: the step is
		// undone in its turn, as it would be after a restart.
		en.begun = true
		return r.append(ctx, Record{Kind: KindBegun, Step: en.name, Memo: en.memo})
	}
	act := func() error {
		err := r.try(ctx, ctx, en.name, ActDo, func(ctx context.Context) error { return en.Do(ctx, en.memo) })
		return err.orNil()
	}
	if err := r.rules.begin(record, act); err != nil {
		return err
	}
	if err := r.append(ctx, Record{Kind: KindDone, Step: en.name}); err != nil {
		return err
	}
	en.done = true
	return nil
}

func (r *run) prepare(ctx context.Context, en *entry) error {
	failed := r.try(ctx, ctx, en.name, ActPrepare, func(ctx context.Context) (err error) {
		en.memo, err = en.Prepare(ctx)
		return err
	})
	if failed != nil {
		return failed.orNil()
	}
	if en.memo == nil {
		en.memo = Memo("null")
	}
	if !json.Valid(en.memo) {
		return &StepError{Step: en.name, Act: ActPrepare, Err: errors.New("its memo is not JSON")}
	}
	return nil
}
