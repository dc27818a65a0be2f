package dbdump

import (
	"context"
	"fmt"
	"time"
)

// heldError says that somebody else used what a statement was for until its time
// was over. It may pass.
type heldError struct {
	wait time.Duration
	err  error // ER_LOCK_WAIT_TIMEOUT
}

func (e *heldError) Error() string { return fmt.Sprintf("in use for more than %s: %v", e.wait, e.err) }
func (e *heldError) Unwrap() error { return e.err }

// exec runs a statement that is about databases or accounts. It waits for
// somebody who uses one of them for Options.LockWait; the server's own bound is a
// day, and goes on when we have gone: the statement would be run at some time
// when nobody expects it any more.
func (in *Instance) exec(ctx context.Context, query string) error {
	conn, err := in.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	wait := in.options.LockWait
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout=%d", int(wait.Seconds()))); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, query)
	if hasNumber(err, errLockWait) {
		return &heldError{wait, err}
	}
	return err
}
