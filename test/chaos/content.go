package main

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// badVhost has somebody else break the web server's configuration.
func badVhost(ctx context.Context, r *rig) (mend func() error, err error) {
	path := filepath.Join(r.webs[0].OwnVhosts, "zz-broken.conf")
	return func() error { return os.Remove(path) }, os.WriteFile(path, []byte("no_such_directive on;\n"), 0o644)
}

// atRecord does harm when the journal has a record, until the task has ended.
func atRecord(label string, harm func(ctx context.Context, r *rig) (func() error, error)) strike {
	return func(ctx context.Context, r *rig, f *fault, t target) error {
		f.said = "after " + label
		w, err := r.watch()
		if err != nil {
			return err
		}
		defer func() { _ = w.close() }()
		if _, err := w.await(ctx, t, label); err != nil {
			return err
		}
		mend, err := harm(ctx, r)
		if err != nil {
			return err
		}
		// What does not end is the judge's business.
		bounded, cancel := context.WithTimeout(ctx, patience/2)
		defer cancel()
		_ = r.ended(bounded, t.task)
		return mend()
	}
}

// broken500 has the pages of the version that is being restored answer 500.
func broken500(_ context.Context, r *rig) (mend func() error, err error) {
	path := r.breaker(1 - r.now.tree)
	return func() error { return os.Remove(path) }, os.WriteFile(path, nil, 0o644)
}

// nothing strikes nothing: what is restored is what is wrong.
func nothing(context.Context, *rig, *fault, target) error { return nil }

// powerLoss takes a machine away at a record, for a while.
func powerLoss(label string, lasts time.Duration) strike {
	return func(ctx context.Context, r *rig, f *fault, t target) error {
		f.said = "after " + label + ", away for " + lasts.String()
		w, err := r.watch()
		if err != nil {
			return err
		}
		defer func() { _ = w.close() }()
		if _, err := w.await(ctx, t, label); err != nil {
			return err
		}
		return kill(ctx, r.processes("web server"), lasts)
	}
}
