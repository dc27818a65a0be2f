package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// Run is a task while its handler works on it. Its methods may be called from
// many goroutines until the handler returns.
type Run struct {
	Task    model.Task // as it was when it began
	Resumed bool       // it has run before and was neither done nor undone: go by the journal

	m     *Manager
	ctx   context.Context // of the manager's writes, which outlive a cancelled task
	stop  chan struct{}
	flush sync.WaitGroup

	mu       sync.Mutex
	warned   bool
	dirty    bool
	progress model.Progress
}

// Spec reads the task's request into v.
func (r *Run) Spec(v any) error {
	if err := json.Unmarshal(r.Task.Spec, v); err != nil {
		return errs.New(errs.Corrupt, "", "the request of task %s: %w", r.Task.ID, err)
	}
	return nil
}

// Stopping is closed when the master stops. A handler whose context has ended
// already, for a cancel, learns it from here alone.
func (r *Run) Stopping() <-chan struct{} { return r.m.stops }

// Log adds a line to the task's log; it is durable when Log returns. Control
// characters and what is not UTF-8 are shown as escapes. No secret may be in it.
func (r *Run) Log(level model.Level, format string, args ...any) {
	r.m.note(r.ctx, r.Task.ID, level, fmt.Sprintf(format, args...))
}

// Info is Log with model.LevelInfo.
func (r *Run) Info(format string, args ...any) { r.Log(model.LevelInfo, format, args...) }

// Warn adds a warning to the log; a task that succeeds ends as "warning" then.
func (r *Run) Warn(format string, args ...any) {
	r.mu.Lock()
	r.warned = true
	r.mu.Unlock()
	r.Log(model.LevelWarn, format, args...)
}

// Progress says how far the task is: done of total bytes (0 if not known), and
// files. It is cheap: what is said oftener than four times a second is not
// written, except the last.
func (r *Run) Progress(step string, done, total, files int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := model.Progress{Step: clean(step), Done: done, Total: total, Files: files}
	r.dirty = r.dirty || p != r.progress
	r.progress = p
}

func (m *Manager) newRun(ctx context.Context, t model.Task, resumed bool) *Run {
	r := &Run{Task: t, Resumed: resumed, m: m, ctx: context.WithoutCancel(ctx), stop: make(chan struct{}), progress: t.Progress}
	r.flush.Go(r.writeProgress)
	return r
}

// close ends the writing of progress, with the last one written.
func (r *Run) close() {
	close(r.stop)
	r.flush.Wait()
}

// writeProgress writes what is new, now and then, so that no handler waits for it.
func (r *Run) writeProgress() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.flushProgress()
		case <-r.stop:
			r.flushProgress()
			return
		}
	}
}

func (r *Run) flushProgress() {
	r.mu.Lock()
	p, dirty := r.progress, r.dirty
	r.dirty = false
	r.mu.Unlock()
	if !dirty {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, recordTimeout)
	defer cancel()
	if err := r.m.cfg.Catalogue.SetProgress(ctx, r.Task.ID, p); err != nil {
		r.m.cfg.Log.Warn("task progress", "task", r.Task.ID, "error", err)
		return
	}
	r.m.changes.tell(r.Task.ID)
}

// maxText bounds a log line and an error, in bytes.
const maxText = 8 << 10

// clean makes a text fit to be kept and shown anywhere: valid UTF-8, no
// control characters but tabs and newlines, not endless.
func clean(s string) string {
	var b strings.Builder
	for i, r := range s {
		if b.Len() >= maxText {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsControl(r) && r != '\n' && r != '\t':
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
