// Package tasks runs the master's durable queue: it decides which task may run
// now, runs the handler of its kind, keeps its log, progress and outcome, and
// brings it on after a restart. Two tasks never write to one site at the same
// time. It refuses to know what a task does, where tasks are kept, and who may
// ask for one.
package tasks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// Records keeps tasks; internal/catalogue does.
type Records interface {
	// AddTask records a queued task. If holds is true, wait is false and an
	// unfinished task holds the site, it records nothing and names that one.
	AddTask(ctx context.Context, t model.Task, holds, wait bool) (holder string, err error)
	// MoveTask writes state, outcome, attempt and times of a task if its
	// recorded state is from, and reports whether it was.
	MoveTask(ctx context.Context, t model.Task, from model.TaskState) (moved bool, err error)
	// UnfinishedTasks returns the queued and running tasks in the order of asking.
	UnfinishedTasks(ctx context.Context) ([]model.Task, error)
}

// Reader reads tasks and their logs back.
type Reader interface {
	Task(ctx context.Context, id string) (model.Task, error)
	// LogLines returns at most limit lines from number fromSeq on.
	LogLines(ctx context.Context, taskID string, fromSeq int64, limit int) ([]model.LogLine, error)
	// StuckTask returns the id of a task that needs an operator to mend a site, or "".
	StuckTask(ctx context.Context, site string) (id string, err error)
}

// Notes keeps what a task says while it lives.
type Notes interface {
	AppendLog(ctx context.Context, taskID string, at time.Time, level model.Level, text string) (seq int64, err error)
	SetProgress(ctx context.Context, taskID string, p model.Progress) error
	// AskCancel notes that an unfinished task shall end and returns it.
	AskCancel(ctx context.Context, taskID string) (model.Task, error)
}

// Catalogue is all that the queue needs kept.
type Catalogue interface {
	Records
	Reader
	Notes
}

// Handler does one task. Its context ends when the task is cancelled (cause
// ErrCancelled) or the master stops (cause ErrShutdown); see context.Cause. It
// then undoes or leaves things so that Recovery can go on, and returns an error.
// The result is kept as JSON; it holds no secret. Temporary errors
// (errs.Temporary) are tried again if the kind says so.
type Handler func(ctx context.Context, run *Run) (result any, err error)

// Recovery says what becomes of a task that was running when the master ended.
type Recovery int

// The ways.
const (
	Fail    Recovery = iota // it ends as failed
	Requeue                 // it runs again from its start
	// Resume: its handler is called with Run.Resumed, and goes by its journal.
	// So it is after a panic, with a context that has ended, and when an
	// operator has mended what the task could not (see Again). Such a kind has
	// no Retry, and does not begin on a site that another task left half done.
	Resume
)

// Kind is how tasks of a kind are run.
type Kind struct {
	Handler  Handler
	Reads    bool // it changes nothing and so holds no site
	Recovery Recovery
	Retry    Retry
	Priority int  // higher goes first among those that wait; 0 for most
	Once     bool // of equal tasks that have not begun one is enough
}

// Limits bound how many tasks run at the same time.
type Limits struct {
	Total int // 0 for no bound
	// Keys names what a task loads, such as the agents of its site. It is
	// asked once a task, when it comes into the queue. It may be nil.
	Keys func(ctx context.Context, t model.Task) []string
	// PerKey is how many running tasks may share a key; 0 for no bound. It
	// must be quick. It may be nil.
	PerKey func(key string) int
}

// Config is what a Manager is made of.
type Config struct {
	Catalogue Catalogue
	Kinds     map[model.TaskKind]Kind
	Limits    Limits
	// Urgency is added to the priority of a task's kind. It is asked once a
	// task. It may be nil.
	Urgency func(t model.Task) int
	// Owner names whose task it is. Of tasks with the same priority, one of the
	// owner with the fewest running tasks goes first. It is asked once a task. It
	// may be nil.
	Owner func(ctx context.Context, t model.Task) string
	// Shorten leaves the wait before a retry to chance, so that tasks that failed
	// together do not come back together; nil for half of it to all.
	Shorten func(wait time.Duration) time.Duration
	Log     hclog.Logger     // the server's own log; nil for none
	Now     func() time.Time // for recorded times; nil for time.Now
	// Shutdown bounds how long Serve waits for handlers when it is told to
	// end; 0 is 30 seconds.
	Shutdown time.Duration
	// LookAgain is after what time those who wait for a task look at it although
	// nobody has told them of a change; 0 is 30 seconds. The catalogue may have
	// been changed by somebody else.
	LookAgain time.Duration
}

const (
	defaultShutdown = 30 * time.Second
	defaultLook     = 30 * time.Second
	recordTimeout   = 30 * time.Second       // for a write that must not be lost to a cancelled context
	recordRetry     = time.Second            // between tries to record an outcome
	progressEvery   = 250 * time.Millisecond // at most one write of progress in this time
)

// ErrShutdown is the cause of a handler's context when the master stops. The
// task stays as running, and is brought on by the next start, unless the
// handler has finished all the same. A handler that undoes after a cancel, and
// stops doing so because of Run.Stopping, returns an error with this in its tree.
var ErrShutdown = errors.New("the master is stopping")

// ErrCancelled is in the tree of the cause of a handler's context when the
// task was cancelled. Its kind is errs.Cancelled.
var ErrCancelled = errs.New(errs.Cancelled, "", "the task was cancelled")

// errPanicked is the cause of the context of a call that mends after a panic.
var errPanicked = errors.New("the task's handler panicked")

// NeedsOperator is returned by a handler whose undo could not be done. The
// task ends as needs_operator, and its log has the commands.
type NeedsOperator struct {
	Err      error
	Commands []string // to be run by hand, in this order
}

// Error returns the text of the cause.
func (e *NeedsOperator) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *NeedsOperator) Unwrap() error { return e.Err }

// Manager is the queue. Make it with New, run it with Serve.
type Manager struct {
	cfg     Config
	wake    chan struct{} // something may be able to run
	stops   chan struct{} // closed when Serve begins to end
	changes *changes

	submitting sync.Mutex // so that of two equal tasks that may wait one is added

	mu      sync.Mutex
	queue   []*entry          // by priority, then as they came
	known   map[string]*entry // queued and running
	sites   map[string]*entry // by site: the running task that holds it
	load    map[string]int    // running tasks by key
	owners  map[string]int    // running tasks by owner
	running int
	next    int64
}

// New makes a queue that does nothing until Serve.
func New(cfg Config) (*Manager, error) {
	for kind, k := range cfg.Kinds {
		if k.Handler == nil {
			return nil, fmt.Errorf("task kind %s has no handler", kind)
		}
		if k.Recovery == Resume && k.Retry.For != nil {
			return nil, fmt.Errorf("task kind %s goes by its journal and cannot be tried again from its start", kind)
		}
	}
	if cfg.Catalogue == nil {
		return nil, errors.New("a task queue needs a catalogue")
	}
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Shorten == nil {
		cfg.Shorten = func(wait time.Duration) time.Duration { return wait - rand.N(wait/2+1) }
	}
	if cfg.Shutdown <= 0 {
		cfg.Shutdown = defaultShutdown
	}
	if cfg.LookAgain <= 0 {
		cfg.LookAgain = defaultLook
	}
	return &Manager{
		cfg: cfg, wake: make(chan struct{}, 1), stops: make(chan struct{}), changes: newChanges(),
		known: map[string]*entry{}, sites: map[string]*entry{}, load: map[string]int{}, owners: map[string]int{},
	}, nil
}
