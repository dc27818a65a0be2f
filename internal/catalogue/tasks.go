package catalogue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

const taskColumns = `seq, id, kind, site, state, spec, result, error, error_kind, hint, attempt, cancel_asked,
	created_at, started_at, finished_at, progress_step, progress_done, progress_total, progress_files`

// numbered is a task and its place in the order of asking.
type numbered struct {
	model.Task
	seq int64
}

func scanTask(row scanner) (t numbered, err error) {
	err = row.Scan(&t.seq, &t.ID, &t.Kind, &t.Site, &t.State, &t.Spec, &t.Result, &t.Error, &t.ErrorKind, &t.Hint, &t.Attempt, &t.CancelAsked,
		timeInto{&t.CreatedAt}, timeInto{&t.StartedAt}, timeInto{&t.FinishedAt},
		&t.Progress.Step, &t.Progress.Done, &t.Progress.Total, &t.Progress.Files)
	return t, err
}

func plain(list []numbered) []model.Task {
	tasks := make([]model.Task, len(list))
	for i, t := range list {
		tasks[i] = t.Task
	}
	return tasks
}

func noTask(id string) error {
	return errs.New(errs.NotFound, "list them with: sitekeep task list", "no task %q", id)
}

// AddTask records a queued task. One that holds its site is refused, with the
// id of the holder and no error, while another unfinished task holds the site,
// unless it waits. Of two callers at the same time one wins.
func (c *Catalogue) AddTask(ctx context.Context, t model.Task, holds, wait bool) (holder string, err error) {
	err = c.update(ctx, func(ctx context.Context, tx *Tx) error {
		if holds && !wait && t.Site != "" {
			if holder, err = tx.holder(ctx, t.Site); err != nil || holder != "" {
				return err
			}
		}
		return tx.insertTask(ctx, t, holds)
	})
	return holder, err
}

// holder returns the id of the oldest unfinished task that holds a site, or "".
func (tx *Tx) holder(ctx context.Context, site string) (string, error) {
	ids, err := collect(ctx, tx.q, scanString, `SELECT id FROM tasks
		WHERE site = ? AND holds = 1 AND state IN ('queued', 'running') ORDER BY state DESC, seq LIMIT 1`, site)
	if err != nil || len(ids) == 0 {
		return "", err
	}
	return ids[0], nil
}

func (tx *Tx) insertTask(ctx context.Context, t model.Task, holds bool) error {
	_, err := tx.exec(ctx, `INSERT INTO tasks (id, kind, site, holds, state, spec, result, error, error_kind, hint, attempt, cancel_asked,
		created_at, started_at, finished_at, progress_step, progress_done, progress_total, progress_files)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		t.ID, t.Kind, t.Site, holds, t.State, t.Spec, t.Result, t.Error, t.ErrorKind, t.Hint, t.Attempt, t.CancelAsked,
		nanos(t.CreatedAt), nanos(t.StartedAt), nanos(t.FinishedAt),
		t.Progress.Step, t.Progress.Done, t.Progress.Total, t.Progress.Files)
	if isClash(err) {
		return errs.New(errs.Exists, "ask again", "task %s is there already", t.ID)
	}
	if err != nil {
		return fmt.Errorf("record task %s: %w", t.ID, err)
	}
	return nil
}

// Task returns a task; an unknown id is errs.NotFound.
func (c *Catalogue) Task(ctx context.Context, id string) (model.Task, error) {
	t, err := single(ctx, c.read, scanTask, func() error { return noTask(id) }, `SELECT `+taskColumns+` FROM tasks WHERE id = ?`, id)
	return t.Task, err
}

// MoveTask writes state, outcome, attempt and times of a task if its recorded
// state is from, and reports whether it was. Progress, log and the wish to
// cancel are not touched.
func (c *Catalogue) MoveTask(ctx context.Context, t model.Task, from model.TaskState) (moved bool, err error) {
	err = c.update(ctx, func(ctx context.Context, tx *Tx) error {
		n, err := tx.exec(ctx, `UPDATE tasks SET state = ?, result = ?, error = ?, error_kind = ?, hint = ?, attempt = ?,
			started_at = ?, finished_at = ? WHERE id = ? AND state = ?`,
			t.State, t.Result, t.Error, t.ErrorKind, t.Hint, t.Attempt, nanos(t.StartedAt), nanos(t.FinishedAt), t.ID, from)
		moved = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("record task %s as %s: %w", t.ID, t.State, err)
	}
	return moved, nil
}

// AskCancel records that a task that has not ended shall end, and returns it as it is then.
func (c *Catalogue) AskCancel(ctx context.Context, id string) (model.Task, error) {
	var t numbered
	err := c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `UPDATE tasks SET cancel_asked = 1 WHERE id = ? AND state IN ('queued', 'running')`, id)
		if err != nil {
			return err
		}
		t, err = single(ctx, tx.q, scanTask, func() error { return noTask(id) }, `SELECT `+taskColumns+` FROM tasks WHERE id = ?`, id)
		return err
	})
	return t.Task, err
}

// SetProgress records how far a task is.
func (c *Catalogue) SetProgress(ctx context.Context, id string, p model.Progress) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `UPDATE tasks SET progress_step = ?, progress_done = ?, progress_total = ?, progress_files = ? WHERE id = ?`,
			p.Step, p.Done, p.Total, p.Files, id)
		return err
	})
}

// UnfinishedTasks returns all tasks that are queued or running, in the order
// in which they were asked for.
func (c *Catalogue) UnfinishedTasks(ctx context.Context) ([]model.Task, error) {
	list, err := collect(ctx, c.read, scanTask, `SELECT `+taskColumns+` FROM tasks WHERE state IN ('queued', 'running') ORDER BY seq`)
	return plain(list), err
}

// StuckTask returns the id of the oldest task that needs an operator to mend a
// site, or "" if there is none.
func (c *Catalogue) StuckTask(ctx context.Context, site string) (string, error) {
	return stuckTaskIn(ctx, c.read, site)
}

func stuckTaskIn(ctx context.Context, q querier, site string) (string, error) {
	ids, err := collect(ctx, q, scanString, `SELECT id FROM tasks WHERE site = ? AND state = 'needs_operator' ORDER BY seq LIMIT 1`, site)
	if err != nil || len(ids) == 0 {
		return "", err
	}
	return ids[0], nil
}

// TaskFilter chooses tasks; its zero value chooses all.
type TaskFilter struct {
	Site   string
	Client string // who owns the site now
	States []model.TaskState
	Limit  int    // 100 if not set, at most 1000
	After  string // what the page before gave as next
}

// Tasks returns a page of tasks, newest first, and what the next page goes on
// after; it is empty at the end.
func (c *Catalogue) Tasks(ctx context.Context, f TaskFilter) (tasks []model.Task, next string, err error) {
	where, args, err := f.where()
	if err != nil {
		return nil, "", err
	}
	limit := limitOf(f.Limit)
	list, err := collect(ctx, c.read, scanTask, `SELECT `+taskColumns+` FROM tasks`+where+` ORDER BY seq DESC LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("list tasks: %w", err)
	}
	if len(list) > limit {
		list = list[:limit]
		next = strconv.FormatInt(list[limit-1].seq, 10)
	}
	return plain(list), next, nil
}

func (f TaskFilter) where() (string, []any, error) {
	terms, args := []string{`1`}, []any{}
	if f.Site != "" {
		terms, args = append(terms, `site = ?`), append(args, f.Site)
	}
	if f.Client != "" {
		terms, args = append(terms, `site IN (SELECT name FROM sites WHERE client = ?)`), append(args, f.Client)
	}
	if len(f.States) > 0 {
		terms, args = append(terms, `state IN (SELECT value FROM json_each(?))`), append(args, jsonOf(f.States))
	}
	if f.After != "" {
		seq, err := strconv.ParseInt(f.After, 10, 64)
		if err != nil {
			return "", nil, errs.New(errs.Usage, "begin again with the first page", "%q is not where a page ends", f.After)
		}
		terms, args = append(terms, `seq < ?`), append(args, seq)
	}
	return ` WHERE ` + strings.Join(terms, ` AND `), args, nil
}

// AppendLog adds a line to a task's log and returns its number, from 1.
func (c *Catalogue) AppendLog(ctx context.Context, taskID string, at time.Time, level model.Level, text string) (seq int64, err error) {
	err = c.update(ctx, func(ctx context.Context, tx *Tx) error {
		return tx.q.QueryRowContext(ctx, `INSERT INTO task_log (task_id, seq, at, level, text)
			VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM task_log WHERE task_id = ?1), ?2, ?3, ?4) RETURNING seq`,
			taskID, nanos(at), level, text).Scan(&seq)
	})
	if err != nil {
		return 0, fmt.Errorf("log of task %s: %w", taskID, err)
	}
	return seq, nil
}

// LogLines returns lines of a task's log in order, from number fromSeq on
// (1 is the first), at most limit (100 if not set, at most 1000).
func (c *Catalogue) LogLines(ctx context.Context, taskID string, fromSeq int64, limit int) ([]model.LogLine, error) {
	return collect(ctx, c.read, func(row scanner) (l model.LogLine, err error) {
		err = row.Scan(&l.Seq, timeInto{&l.Time}, &l.Level, &l.Text)
		return l, err
	}, `SELECT seq, at, level, text FROM task_log WHERE task_id = ? AND seq >= ? ORDER BY seq LIMIT ?`, taskID, fromSeq, limitOf(limit))
}

// purgeBatch bounds how many tasks one transaction of a purge takes, so that nobody waits long for the writer.
const purgeBatch = 500

// PurgeLogs removes the logs of tasks that ended before a time and returns how
// many tasks had one. Tasks that need an operator keep theirs.
func (c *Catalogue) PurgeLogs(ctx context.Context, before time.Time) (int64, error) {
	return c.purge(ctx, before, `id IN (SELECT task_id FROM task_log)`, `DELETE FROM task_log WHERE task_id IN (SELECT value FROM json_each(?))`)
}

// PurgeTasks forgets tasks that ended before a time, with their logs and
// journals, and returns how many. Tasks that need an operator stay, and
// restores within their grace time.
func (c *Catalogue) PurgeTasks(ctx context.Context, before time.Time) (int64, error) {
	return c.purge(ctx, before, `id NOT IN (SELECT task_id FROM graces WHERE state IN ('waiting', 'ending'))`,
		`DELETE FROM task_log WHERE task_id IN (SELECT value FROM json_each(?))`,
		`DELETE FROM journal WHERE task_id IN (SELECT value FROM json_each(?))`,
		`DELETE FROM graces WHERE task_id IN (SELECT value FROM json_each(?))`,
		`DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(?))`)
}

func (c *Catalogue) purge(ctx context.Context, before time.Time, which string, deletes ...string) (total int64, err error) {
	for n := purgeBatch; n == purgeBatch; total += int64(n) {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		if n, err = c.purgeSome(ctx, before, which, deletes); err != nil {
			return total, fmt.Errorf("purge tasks: %w", err)
		}
	}
	return total, nil
}

func (c *Catalogue) purgeSome(ctx context.Context, before time.Time, which string, deletes []string) (n int, err error) {
	err = c.update(ctx, func(ctx context.Context, tx *Tx) error {
		ids, err := collect(ctx, tx.q, scanString, `SELECT id FROM tasks WHERE finished_at <> 0 AND finished_at < ?
			AND state <> 'needs_operator' AND `+which+` LIMIT ?`, nanos(before), purgeBatch)
		if err != nil {
			return err
		}
		n = len(ids)
		for _, query := range deletes {
			if _, err := tx.exec(ctx, query, jsonOf(ids)); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
