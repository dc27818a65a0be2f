package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// BackUp backs all sites up, as an operator does, and waits.
func (f *Fleet) BackUp(ctx context.Context) error {
	_, err := f.Master.Run(ctx, "backup", "--all", "--queue")
	return err
}

// patience is how long nothing may happen at all.
const patience = 3 * time.Minute

// BackUpUnderKills has all sites backed up, and kills the master so many times
// meanwhile, at random moments: when all is done before, all sites are backed
// up once more. It returns how many times that was.
func (f *Fleet) BackUpUnderKills(ctx context.Context, kills int, r *rand.Rand) (rounds int, err error) {
	for killed := 0; killed < kills || rounds == 0; rounds++ {
		if _, err := f.Master.Run(ctx, "backup", "--all", "--queue", "--detach"); err != nil {
			return rounds, err
		}
		for killed < kills {
			open, err := f.open(ctx)
			if err != nil {
				return rounds, err
			}
			if open == 0 {
				break
			}
			if err := f.kill(ctx, time.Duration(r.Int64N(int64(lifetime)))); err != nil {
				return rounds, fmt.Errorf("kill %d: %w", killed+1, err)
			}
			killed++
		}
		if err := f.wait(ctx); err != nil {
			return rounds, err
		}
	}
	return rounds, nil
}

// lifetime is how long a master lives at most.
const lifetime = 1200 * time.Millisecond

func (f *Fleet) kill(ctx context.Context, after time.Duration) error {
	select {
	case <-time.After(after):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := f.Master.Kill(); err != nil {
		return err
	}
	return f.Master.Start(ctx)
}

func (f *Fleet) open(ctx context.Context) (n int, err error) {
	all, err := f.tasks(ctx)
	for i := range all {
		if !all[i].final() {
			n++
		}
	}
	return n, err
}

// wait waits until no task is left, as long as some end.
func (f *Fleet) wait(ctx context.Context) error {
	last, since := -1, time.Now()
	for {
		open, err := f.open(ctx)
		if err != nil || open == 0 {
			return err
		}
		if open != last {
			last, since = open, time.Now()
		}
		if time.Since(since) > patience {
			return fmt.Errorf("of %d tasks none has ended for %s", open, patience)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("%d tasks are left", open))
		case <-time.After(200 * time.Millisecond):
		}
	}
}
