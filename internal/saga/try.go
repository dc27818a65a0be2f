package saga

import (
	"context"
	"errors"
	"runtime/debug"
	"time"
)

// failure is an act that did not succeed, after its retries.
type failure struct {
	err *StepError
	// temporary: it may succeed later, without anybody's hand.
	temporary bool
}

func (f *failure) orNil() error {
	if f == nil {
		return nil
	}
	return f.err
}

func (o Options) retryFor(act Act) (Retry, time.Duration) {
	switch act {
	case ActUndo:
		return o.Undo, o.ActTimeout
	case ActFinish:
		return o.Finish, o.ActTimeout
	}
	return o.Do, 0
}

// try calls f until it succeeds or its retries are used up. Calls run under
// ctx; the end of waiting ends the waits between them.
func (r *run) try(ctx, waiting context.Context, step string, act Act, f func(context.Context) error) *failure {
	retry, timeout := r.o.retryFor(act)
	a := attempts{run: r, retry: retry, began: r.o.Now(), event: Event{Act: act, Step: step}}
	a.emit(Started, nil)
	for {
		a.event.Attempt++
		ranOut, err := r.call(ctx, timeout, f)
		temporary := err != nil && (ranOut || r.o.mayPass(act, err))
		if err == nil {
			a.emit(Done, nil)
			return nil
		}
		if ctx.Err() != nil || !a.again(temporary) {
			return a.fail(err, temporary)
		}
		if a.pause(waiting, err) != nil {
			return a.fail(err, true)
		}
	}
}

// mayPass reports whether what failed may succeed later without anybody's hand.
func (o Options) mayPass(act Act, err error) bool {
	if act == ActUndo || act == ActFinish {
		return o.Passing(err)
	}
	return o.Temporary(err)
}

// call calls f once, bounded by timeout (0: not bounded), and tells whether it ran into that.
func (r *run) call(ctx context.Context, timeout time.Duration, f func(context.Context) error) (ranOut bool, err error) {
	bounded := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	err = guard(bounded, f)
	return errors.Is(bounded.Err(), context.DeadlineExceeded) && ctx.Err() == nil, err
}

// guard keeps a step's panic from taking other sagas along.
func guard(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f(ctx)
}

// attempts counts what was spent on one act.
type attempts struct {
	*run
	retry   Retry
	began   time.Time
	waited  time.Duration
	refused int // failures that were not temporary
	event   Event
}

// again says whether another attempt is to be made after a failed one.
func (a *attempts) again(temporary bool) bool {
	if temporary {
		return max(a.waited, a.o.Now().Sub(a.began)) < a.retry.Patience
	}
	a.refused++
	return a.refused < a.retry.Attempts
}

func (a *attempts) pause(ctx context.Context, err error) error {
	d := a.retry.wait(a.event.Attempt, a.o.Random())
	a.event.Wait = d
	a.emit(Retrying, err)
	a.event.Wait = 0
	a.waited += d
	return a.o.Sleep(ctx, d)
}

func (a *attempts) fail(err error, temporary bool) *failure {
	a.emit(Failed, err)
	return &failure{err: &StepError{Step: a.event.Step, Act: a.event.Act, Err: err}, temporary: temporary}
}

func (a *attempts) emit(kind EventKind, err error) {
	if a.o.Observer == nil {
		return
	}
	ev := a.event
	ev.Kind, ev.Err, ev.Elapsed = kind, err, a.o.Now().Sub(a.began)
	a.o.Observer.Observe(ev)
}
