package dbdump

import (
	"context"
	"strconv"
	"sync"
	"time"
)

const (
	// throttleEvery is how often the server is asked how busy it is.
	throttleEvery = 200 * time.Millisecond
	// throttleMost is the longest pause; then the dump goes on for a moment, so
	// that it ends on a server that is always busy.
	throttleMost = 5 * time.Second
)

// throttle lets the readers of a dump pause while the server is busy.
type throttle struct {
	limit   int
	running func(context.Context) (int, error)
	mu      sync.Mutex
	asked   time.Time
}

// newThrottle returns nil, which never waits, unless a limit is set.
func (n *native) newThrottle() *throttle {
	if n.dump.o.MaxThreadsRunning == 0 {
		return nil
	}
	return &throttle{limit: n.dump.o.MaxThreadsRunning, running: n.dump.in.threadsRunning}
}

// threadsRunning returns how many threads run on the server, that of the question included.
func (in *Instance) threadsRunning(ctx context.Context) (int, error) {
	var name, value string
	if err := in.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Threads_running'").Scan(&name, &value); err != nil {
		return 0, err
	}
	return strconv.Atoi(value)
}

// wait returns when the server is calm, was asked a moment ago, or cannot be
// asked: that is no reason to fail.
func (t *throttle) wait(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.mu.Lock() // the other readers wait too
	defer t.mu.Unlock()
	if time.Since(t.asked) < throttleEvery {
		return nil
	}
	for end := time.Now().Add(throttleMost); time.Now().Before(end); {
		n, err := t.running(ctx)
		if err != nil || n <= t.limit {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(throttleEvery):
		}
	}
	t.asked = time.Now()
	return ctx.Err()
}
