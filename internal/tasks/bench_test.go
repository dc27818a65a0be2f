package tasks_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// BenchmarkQueue measures what the queue itself costs a task when 10,000 wait:
// go test -bench Queue -benchtime 1x. One operation is all of them.
func BenchmarkQueue(b *testing.B) {
	const waiting = 10_000
	c, err := catalogue.Open(b.Context(), filepath.Join(b.TempDir(), "c.db"))
	fatal(b, err)
	defer c.Close()
	for b.Loop() {
		left := make(chan struct{}, waiting)
		m, err := tasks.New(tasks.Config{Catalogue: c, Limits: tasks.Limits{
			Total: 8, PerKey: func(string) int { return 2 },
			Keys: func(_ context.Context, t model.Task) []string { return []string{t.Site[len(t.Site)-1:]} },
		}, Kinds: kinds{model.TaskBackup: {Handler: func(context.Context, *tasks.Run) (any, error) {
			left <- struct{}{}
			return nil, nil
		}}}})
		fatal(b, err)
		for i := range waiting {
			_, err := m.Submit(b.Context(), waitingFor(fmt.Sprintf("site%d", i)))
			fatal(b, err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Serve(ctx) }()
		for range waiting {
			<-left
		}
		cancel()
		fatal(b, <-ended)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/waiting, "µs/task")
}

func waitingFor(site string) tasks.SubmitRequest {
	return tasks.SubmitRequest{Kind: model.TaskBackup, Site: site, Queue: true}
}
