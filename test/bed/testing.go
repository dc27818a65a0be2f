package bed

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// T is a bed whose failures end the test.
type T struct {
	*Bed
	tb testing.TB
}

// New makes a bed for a test, in a directory that nobody can enter, and ends
// it with the test. When the test fails, the ends of all logs are shown and
// the directory is kept if SITEKEEP_BED_KEEP is set.
func New(tb testing.TB) *T {
	tb.Helper()
	dir, err := os.MkdirTemp("", "sk-bed-")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	b, err := Start(context.WithoutCancel(tb.Context()), dir, nil)
	if err != nil {
		tb.Fatal(err)
	}
	t := &T{Bed: b, tb: tb}
	tb.Cleanup(t.end)
	return t
}

func (t *T) end() {
	t.tb.Helper()
	if err := t.Close(); err != nil {
		t.tb.Errorf("bed: %v", err)
	}
	if t.tb.Failed() {
		t.showLogs()
		if os.Getenv("SITEKEEP_BED_KEEP") != "" {
			t.tb.Logf("the bed is kept in %s", t.Dir())
			return
		}
	}
	if err := os.RemoveAll(t.Dir()); err != nil {
		t.tb.Errorf("bed: %v", err)
	}
}

func (t *T) showLogs() {
	for _, path := range t.LogFiles() {
		t.tb.Logf("the end of %s:\n%s", filepath.Base(path), strings.TrimSpace(tail(path, 8<<10)))
	}
}

// Must ends a test if err is not nil, and gives the value of a call that may
// fail:
//
//	print := bed.Must(site.Fingerprint(ctx))(t)
func Must[V any](v V, err error) func(testing.TB) V {
	return func(tb testing.TB) V {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// MariaDB is [Bed.MariaDB] for a test.
func (t *T) MariaDB(name string, args ...string) *MariaDB {
	t.tb.Helper()
	return Must(t.Bed.MariaDB(t.tb.Context(), name, args...))(t.tb)
}

// Web is [Bed.Web] for a test.
func (t *T) Web(name string) *Web {
	t.tb.Helper()
	return Must(t.Bed.Web(t.tb.Context(), name))(t.tb)
}

// WordPress is [Bed.WordPress] for a test.
func (t *T) WordPress(web *Web, db *MariaDB, name string) *WordPress {
	t.tb.Helper()
	return Must(t.Bed.WordPress(t.tb.Context(), web, db, name))(t.tb)
}

// Master is [Bed.Master] for a test.
func (t *T) Master(name string) *Master {
	t.tb.Helper()
	return Must(t.Bed.Master(t.tb.Context(), name))(t.tb)
}

// Agent is [Bed.Agent] for a test.
func (t *T) Agent(m *Master, name string, o AgentOptions) *Agent {
	t.tb.Helper()
	return Must(t.Bed.Agent(t.tb.Context(), m, name, o))(t.tb)
}

// CLI is [Master.CLI] for a test: any exit status is an answer.
func (t *T) CLI(m *Master, args ...string) *Result {
	t.tb.Helper()
	return Must(m.CLI(t.tb.Context(), args...))(t.tb)
}

// OK is [Master.Run] for a test: an exit status other than 0 ends it.
func (t *T) OK(m *Master, args ...string) string {
	t.tb.Helper()
	return Must(m.Run(t.tb.Context(), args...))(t.tb)
}

// WatchSecrets watches all processes until the end of the test, and fails it
// when one shows the given secrets, or those that more adds by then, in its
// arguments or its environment.
func (t *T) WatchSecrets(more func() []string, secrets ...string) {
	t.tb.Helper()
	w := WatchProcesses()
	t.tb.Cleanup(func() {
		rounds := w.Stop()
		if more != nil {
			secrets = append(secrets, more()...)
		}
		for _, where := range w.Find(secrets...) {
			t.tb.Errorf("a secret is shown: %s", where)
		}
		t.tb.Logf("all processes were looked at %d times for %d secrets", rounds, len(secrets))
	})
}
