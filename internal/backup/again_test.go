package backup_test

import (
	"context"
	"testing"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// TestATaskMakesOneBackup: a master that dies after it has recorded the backup, and before it has recorded that the task
// is done, makes no second one.
func TestATaskMakesOneBackup(t *testing.T) {
	r := newRig(t)
	done := r.task(tasks.SubmitRequest{Kind: model.TaskBackup, Site: r.site.Name, Spec: backup.Spec{Format: backup.DefaultFormat}})
	again := func() model.Task {
		t.Helper()
		cut := done
		cut.State, cut.Result = model.TaskRunning, nil
		if moved, err := r.book.MoveTask(t.Context(), cut, model.TaskSucceeded); err != nil || !moved {
			t.Fatal(moved, err)
		}
		m, err := tasks.New(tasks.Config{Catalogue: r.book, Kinds: map[model.TaskKind]tasks.Kind{
			model.TaskBackup: {Handler: backup.Handler(r.maker, r.book), Recovery: tasks.Requeue},
		}})
		r.must(err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Serve(ctx) }()
		defer func() { stop(); r.must(<-ended) }()
		got, err := m.Wait(t.Context(), done.ID)
		r.must(err)
		return got
	}
	got := again()
	list, _, err := r.book.Backups(t.Context(), catalogue.BackupFilter{})
	r.must(err)
	if len(list) != 1 || got.State != model.TaskSucceeded || string(got.Result) != string(done.Result) || got.Attempt != 2 {
		t.Fatalf("%d backups, %+v", len(list), got)
	}
	r.must(r.book.DeleteBackup(t.Context(), list[0].ID))
	if got = again(); got.State != model.TaskSucceeded {
		t.Fatalf("%+v", got)
	}
	if list, _, err = r.book.Backups(t.Context(), catalogue.BackupFilter{}); err != nil || len(list) != 1 {
		t.Errorf("a backup that is gone was not made anew: %d, %v", len(list), err)
	}
}
