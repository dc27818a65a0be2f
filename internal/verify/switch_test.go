package verify_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/verify"
)

// cluster is several web servers.
type cluster map[string]*web

func (c cluster) Web(_ context.Context, server string) (verify.Web, error) { return c[server], nil }

// onTwo lets the site be on two web servers, disabled or not.
func onTwo(t *testing.T, disabled bool) func(*catalogue.Catalogue) {
	return func(book *catalogue.Catalogue) {
		err := book.CreateServer(t.Context(), model.Server{Name: "web2", Roles: []model.Role{model.RoleWeb}, JoinedAt: time.Now()})
		if err == nil {
			_, err = book.UpdateSite(t.Context(), "example.com", func(s *model.Site) error {
				s.WebServers, s.Disabled = []string{"web1", "web2"}, disabled
				return nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSwitch takes a site offline and lets visitors in again, on all its web servers or on none.
func TestSwitch(t *testing.T) {
	closed := model.PageProbe{Status: 503, Maintenance: true, Problem: "answers 503: the site is in maintenance"}
	away := errs.New(errs.Unreachable, "start it", "the agent cannot be reached")
	for what, c := range map[string]struct {
		kind           model.TaskKind
		was, is        bool
		page           model.PageProbe
		spoil          func(cluster)
		calls1, calls2 string
		state          model.TaskState
		says           string
	}{
		"disabled":             {model.TaskDisable, false, true, closed, nil, "shut probe", "shut probe", model.TaskSucceeded, "visitors get the maintenance page"},
		"again":                {model.TaskDisable, true, true, closed, nil, "shut probe", "shut probe", model.TaskSucceeded, ""},
		"this machine sees it": {model.TaskDisable, false, true, model.PageProbe{Status: 200}, nil, "shut probe", "shut probe", model.TaskWarning, "maintenance_allow"},
		"visitors get through": {model.TaskDisable, false, false, closed, func(c cluster) { c["web2"].leaky = "put this line there" },
			"shut open", "shut open", model.TaskFailed, "server web2: visitors cannot be kept out: put this line there"},
		"again, and they do": {model.TaskDisable, true, true, closed, func(c cluster) { c["web2"].leaky = "put this line there" },
			"shut", "shut", model.TaskFailed, "put this line there"},
		"one is away": {model.TaskDisable, false, false, closed, func(c cluster) { c["web1"].away = away },
			"shut open", "", model.TaskFailed, "may not be as it was"},
		"enabled":            {model.TaskEnable, true, false, model.PageProbe{Status: 200, BodyBytes: 9}, nil, "open probe", "open probe", model.TaskSucceeded, "the page answers 200"},
		"enabled and broken": {model.TaskEnable, true, false, model.PageProbe{Status: 500, Problem: "answers 500"}, nil, "open probe", "open probe", model.TaskWarning, "answers 500"},
		"not all enabled": {model.TaskEnable, true, true, closed, func(c cluster) { c["web2"].away = away },
			"open shut", "open shut", model.TaskFailed, "server web2: the agent cannot be reached"},
	} {
		t.Run(what, func(t *testing.T) {
			webs := cluster{"web1": sound(), "web2": sound()}
			for _, w := range webs {
				w.page = c.page
			}
			if c.spoil != nil {
				c.spoil(webs)
			}
			task, log, site := ran(t, webs, c.kind, verify.Request{}, onTwo(t, c.was))
			one, two := strings.Join(webs["web1"].calls, " "), strings.Join(webs["web2"].calls, " ")
			if task.State != c.state || site.Disabled != c.is || one != c.calls1 || two != c.calls2 || !strings.Contains(log+task.Error, c.says) {
				t.Errorf("%s, disabled %v, %q, %q: %s\n%s", task.State, site.Disabled, one, two, task.Error, log)
			}
			if task.State == model.TaskFailed && task.Hint == "" {
				t.Error("nobody says what to do")
			}
		})
	}
}

// TestVerifyKeepsADisabledSiteClosed also where it has been opened by hand, and only says so in a dry run.
func TestVerifyKeepsADisabledSiteClosed(t *testing.T) {
	disable := func(book *catalogue.Catalogue) {
		_, err := book.UpdateSite(t.Context(), "example.com", func(s *model.Site) error { s.Disabled = true; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	w := sound()
	w.page = model.PageProbe{Status: 503, Maintenance: true, Problem: "answers 503"}
	task, log := verified(t, w, disable)
	if got := strings.Join(w.calls, " "); task.State != model.TaskSucceeded || got != "mend write forget shut database probe" {
		t.Errorf("%s, %s\n%s", task.State, got, log)
	}
	w = sound()
	w.leaky = "there is no line"
	if task, log := verified(t, w, disable); task.State != model.TaskWarning || !strings.Contains(log, "visitors may get through: there is no line") {
		t.Errorf("%s\n%s", task.State, log)
	}
	w = sound()
	w.permissions = &model.Permissions{}
	task, log = asked(t, w, verify.Request{DryRun: true}, disable)
	if got := strings.Join(w.calls, " "); task.State != model.TaskWarning || got != "compare database probe" || !strings.Contains(log, "though the site is disabled") {
		t.Errorf("%s, %s\n%s", task.State, got, log)
	}
}

// TestVerifyOfAnExternalVhost looks after nothing but that visitors of a disabled site are kept out.
func TestVerifyOfAnExternalVhost(t *testing.T) {
	w := sound()
	task, log := verified(t, w, func(book *catalogue.Catalogue) {
		if _, err := book.UpdateSite(t.Context(), "example.com", func(s *model.Site) error { s.Vhost = model.VhostExternal; return nil }); err != nil {
			t.Fatal(err)
		}
	})
	if got := strings.Join(w.calls, " "); task.State != model.TaskSucceeded || got != "mend open database probe" {
		t.Errorf("%s, %s\n%s", task.State, got, log)
	}
}
