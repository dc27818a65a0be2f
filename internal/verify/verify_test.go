package verify_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
	"github.com/sitekeep/sitekeep/internal/verify"
)

// web is an agent that notes what it is asked.
type web struct {
	calls   []string
	vhost   error
	warning string
	drift   model.VhostDrift
	// permissions take the place of three differences.
	permissions *model.Permissions
	page        model.PageProbe
	database    model.DatabaseProbe
	leaky       string // why visitors get through
	by          string // what keeps them out
	away        error  // of the calls that keep visitors out or let them in
}

func (w *web) Web(context.Context, string) (verify.Web, error) { return w, nil }

func (w *web) called(what string) { w.calls = append(w.calls, what) }

func (w *web) CheckPermissions(_ context.Context, _ model.SiteRef, mend bool) (model.Permissions, error) {
	if mend {
		w.called("mend")
	}
	if w.permissions != nil {
		return *w.permissions, nil
	}
	return model.Permissions{Differences: []string{"./a: mode 0666"}, Count: 3}, nil
}

func (w *web) CompareVhost(context.Context, model.SiteRef) (model.VhostDrift, error) {
	w.called("compare")
	return w.drift, nil
}

func (w *web) WriteVhost(context.Context, model.SiteRef, string) (string, error) {
	w.called("write")
	return w.warning, w.vhost
}

func (w *web) RevertVhost(ctx context.Context, _ model.SiteRef, _ string) error {
	w.called("revert")
	return ctx.Err()
}

func (w *web) ForgetVhost(context.Context, model.SiteRef, string) error {
	w.called("forget")
	return nil
}

func (w *web) ProbeSite(_ context.Context, _ model.SiteRef, task, _ string) (model.PageProbe, error) {
	w.called("probe" + task) // as a visitor: no task is named
	return w.page, nil
}

func (w *web) BeginMaintenance(ctx context.Context, _ model.SiteRef, holder string, lease time.Duration) (model.Closing, error) {
	w.called("shut")
	if holder != model.HolderDisabled || lease != model.Forever {
		return model.Closing{}, errs.New(errs.Usage, "", "%s holds it for %s", holder, lease)
	}
	return model.Closing{Warning: w.leaky, By: w.by}, errors.Join(w.away, ctx.Err())
}

func (w *web) EndMaintenance(ctx context.Context, _ model.SiteRef, holder string) error {
	w.called("open")
	if holder != model.HolderDisabled {
		return errs.New(errs.Usage, "", "%s lets go", holder)
	}
	return errors.Join(w.away, ctx.Err())
}

func (w *web) ProbeDatabase(context.Context, model.SiteRef) (model.DatabaseProbe, error) {
	w.called("database")
	return w.database, nil
}

// verified runs a verify task and returns it with its log.
func verified(t *testing.T, w *web, change ...func(*catalogue.Catalogue)) (model.Task, string) {
	t.Helper()
	return asked(t, w, verify.Request{}, change...)
}

func asked(t *testing.T, w *web, q verify.Request, change ...func(*catalogue.Catalogue)) (model.Task, string) {
	t.Helper()
	task, log, _ := ran(t, w, model.TaskVerify, q, change...)
	return task, log
}

// ran runs a task and returns it with its log, and the site as it is recorded then.
func ran(t *testing.T, w verify.Agents, kind model.TaskKind, q verify.Request, change ...func(*catalogue.Catalogue)) (model.Task, string, model.Site) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	book, err := catalogue.Open(t.Context(), filepath.Join(t.TempDir(), "catalogue.db"))
	must(err)
	t.Cleanup(func() { must(book.Close()) })
	must(book.CreateServer(t.Context(), model.Server{Name: "web1", Roles: []model.Role{model.RoleWeb, model.RoleDB}, JoinedAt: time.Now()}))
	must(book.CreateSite(t.Context(), model.Site{
		Name: "example.com", Kind: "generic", WebServers: []string{"web1"}, DBServer: "web1", Root: "/var/www/x", Docroot: "/var/www/x",
		Database: model.Database{Name: "x"}, Vhost: model.VhostManaged, CreatedAt: time.Now()}))
	for _, f := range change {
		f(book)
	}
	v := &verify.Verifier{Agents: w, Sites: book}
	s := &verify.Switch{Agents: w, Sites: book}
	m, err := tasks.New(tasks.Config{Catalogue: book, Kinds: map[model.TaskKind]tasks.Kind{
		model.TaskVerify: {Handler: v.Handle}, model.TaskDisable: {Handler: s.Disable}, model.TaskEnable: {Handler: s.Enable}}})
	must(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx) }()
	defer func() { stop(); must(<-done) }()
	task, err := m.Submit(t.Context(), tasks.SubmitRequest{Kind: kind, Site: "example.com", Spec: q})
	must(err)
	task, err = m.Wait(t.Context(), task.ID)
	must(err)
	lines, err := book.LogLines(t.Context(), task.ID, 1, 100)
	must(err)
	var log []string
	for _, l := range lines {
		log = append(log, string(l.Level)+" "+l.Text)
	}
	site, err := book.Site(t.Context(), "example.com")
	must(err)
	return task, strings.Join(log, "\n"), site
}

func sound() *web {
	return &web{page: model.PageProbe{Status: 200}, database: model.DatabaseProbe{Settings: model.DatabaseSettings{Name: "x"}, Tables: 3}}
}

func TestASoundSite(t *testing.T) {
	w := sound()
	task, log := verified(t, w)
	if got := strings.Join(w.calls, " "); task.State != model.TaskSucceeded || got != "mend write forget open database probe" || !strings.Contains(log, "mended 2 more") {
		t.Errorf("%s, %s\n%s", task.State, got, log)
	}
}

// TestWhatIsWrongWithTheSite is a warning.
func TestWhatIsWrongWithTheSite(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*web)
		says   string
	}{
		"the database": {func(w *web) { w.database.Problem = "access denied" }, "access denied"},
		"another one":  {func(w *web) { w.database.Settings.Name = "y" }, `name the database "y", the inventory "x"`},
		"the page":     {func(w *web) { w.page = model.PageProbe{Status: 500, Problem: "it answers 500"} }, "it answers 500"},
		"privileges": {func(w *web) {
			w.database.MissingPrivileges, w.database.Settings.User = []string{"ALTER", "DROP"}, "u"
		}, "the user u may not ALTER, DROP in the database x"},
		"PHP": {func(w *web) { w.warning = "opcache could not be reset" }, "opcache could not be reset"},
	} {
		w := sound()
		c.change(w)
		if task, log := verified(t, w); task.State != model.TaskWarning || !strings.Contains(log, c.says) {
			t.Errorf("%s: %s\n%s", what, task.State, log)
		}
	}
}

// TestAVhostThatDoesNotPass is put back, and the task fails.
func TestAVhostThatDoesNotPass(t *testing.T) {
	w := sound()
	w.vhost = errs.New(errs.Failed, "mend it", "nginx -t failed")
	task, _ := verified(t, w)
	if got := strings.Join(w.calls, " "); task.State != model.TaskFailed || got != "mend write revert" || !strings.Contains(task.Error, "server web1: nginx -t failed") || task.Hint != "mend it" {
		t.Errorf("%s, %s: %s (%s)", task.State, got, task.Error, task.Hint)
	}
}

// TestASiteThatNeedsAnOperator is left alone.
func TestASiteThatNeedsAnOperator(t *testing.T) {
	w := sound()
	task, _ := verified(t, w, func(book *catalogue.Catalogue) {
		_, err := book.AddTask(t.Context(), model.Task{ID: "01KACQ4J7XK0VJ7N3YH2M3T5QZ", Kind: model.TaskRestore, Site: "example.com", State: model.TaskQueued, CreatedAt: time.Now()}, false, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := book.MoveTask(t.Context(), model.Task{ID: "01KACQ4J7XK0VJ7N3YH2M3T5QZ", State: model.TaskNeedsOperator}, model.TaskQueued); err != nil {
			t.Fatal(err)
		}
	})
	if task.State != model.TaskFailed || len(w.calls) != 0 || task.ErrorKind != "precondition" || !strings.Contains(task.Hint, "sitekeep task retry 01KACQ4J7XK0VJ7N3YH2M3T5QZ") {
		t.Errorf("%s, %v: %s (%s)", task.State, w.calls, task.Error, task.Hint)
	}
}

// TestADryRun says what differs, and asks for nothing that changes something.
func TestADryRun(t *testing.T) {
	w := sound()
	w.drift = model.VhostDrift{Reason: "the vhost differs", Lines: []string{"- listen 80;", "+ listen 81;"}}
	task, log := asked(t, w, verify.Request{DryRun: true})
	if got := strings.Join(w.calls, " "); task.State != model.TaskWarning || got != "compare database probe" {
		t.Errorf("%s, %s\n%s", task.State, got, log)
	}
	for _, want := range []string{"would mend: ./a: mode 0666", "would mend 2 more", "the vhost differs", "+ listen 81;"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	w = sound()
	w.permissions = &model.Permissions{}
	if task, log := asked(t, w, verify.Request{DryRun: true}); task.State != model.TaskSucceeded {
		t.Errorf("nothing differs: %s\n%s", task.State, log)
	}
}
