package restore

import (
	"context"
	"fmt"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// retireDatabase drops the old database and its user after the commit, and
// only if everything agrees that this site alone used them. In doubt they stay,
// and the task says so. It acts nowhere before that.
type retireDatabase struct{ *run }

type retireMemo struct {
	Name, User string
	Doubt      string // why it must stay; empty: it may go
}

func (retireDatabase) Name() string { return "retire_database" }

// Prepare runs before any settings are rewritten: what was recorded must be
// what the live settings say, or, where these are lost, those in the backup.
func (s retireDatabase) Prepare(ctx context.Context) (saga.Memo, error) {
	old := s.basis.before().Database
	m := retireMemo{Name: old.Name, User: old.User}
	if old.Name == "" {
		m.Doubt = "no database was recorded for the site"
		return memo(m)
	}
	var found perServer[*model.DatabaseSettings]
	err := s.eachWebOf(ctx, s.basis.before().WebServers, func(ctx context.Context, server string, web Web) error {
		settings, err := s.anySettings(ctx, web)
		if err == nil {
			found.set(server, settings)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	m.judge(old, &found)
	return memo(m)
}

// judge compares what was recorded with what the settings say on each server.
func (m *retireMemo) judge(old model.Database, found *perServer[*model.DatabaseSettings]) {
	for i, server := range found.servers() {
		settings := found.m[server]
		switch {
		case nameOf(settings) != old.Name:
			m.Doubt = fmt.Sprintf("the settings on %s name the database %q, the inventory %q", server, nameOf(settings), old.Name)
		case old.Host != "" && settings.Host != old.Host:
			m.Doubt = fmt.Sprintf("the settings on %s name the database server %q, the inventory %q", server, settings.Host, old.Host)
		case i > 0 && settings.User != m.User:
			m.Doubt = fmt.Sprintf("the settings on %s name the user %q, those of another web server %q", server, settings.User, m.User)
		default:
			m.User = settings.User
		}
	}
}

// anySettings reads the live settings, and when that fails (the site is broken, so it is being restored) the staged ones.
func (s retireDatabase) anySettings(ctx context.Context, web Web) (*model.DatabaseSettings, error) {
	switch {
	case s.basis.Migrates(): // nothing is staged there, and what cannot be read here is not served either
		return web.ReadSettings(ctx, s.basis.From.Ref(), "")
	case !s.basis.WithFiles():
		return s.legible(ctx, web)
	}
	live, err := web.ReadSettings(ctx, s.ref(), "")
	if err == nil && live != nil || errs.Temporary(err) {
		return live, err
	}
	return web.ReadSettings(ctx, s.ref(), s.task)
}

func nameOf(s *model.DatabaseSettings) string {
	if s == nil {
		return ""
	}
	return s.Name
}

// Do and Undo have nothing to do: the old database goes only after the commit.
func (retireDatabase) Do(context.Context, saga.Memo) error { return nil }

// Undo has nothing to do.
func (retireDatabase) Undo(context.Context, saga.Memo) error { return nil }

// Finish looks once more, at the inventory and at the live settings as they are now.
func (s retireDatabase) Finish(ctx context.Context, raw saga.Memo) error {
	m, err := remember[retireMemo](raw)
	if err != nil {
		return err
	}
	if m.Doubt == "" {
		if m.Doubt, err = s.stillUsed(ctx, m); err != nil {
			return err
		}
	}
	if m.Doubt != "" {
		s.log.Warn("the old database %q stays: %s", m.Name, m.Doubt)
		return nil
	}
	server := s.basis.before().DBServer
	if err := s.dbOn(ctx, server, func(db DB) error { return s.dropOn(ctx, server, db, m.Name, m.User) }); err != nil {
		return err
	}
	s.log.Log(model.LevelInfo, "dropped the old database %s and its user %s", m.Name, m.User)
	return nil
}

// stillUsed says who may still use the old database.
func (s retireDatabase) stillUsed(ctx context.Context, m retireMemo) (doubt string, err error) {
	if m.Name == s.basis.NewDatabase {
		return "it is the new one", nil
	}
	for _, ask := range []func(context.Context, string) (string, error){s.recorded, s.kept, s.served} {
		if doubt, err = ask(ctx, m.Name); doubt != "" || err != nil {
			return doubt, err
		}
	}
	return "", nil
}

// recorded looks at the inventory.
func (s retireDatabase) recorded(ctx context.Context, database string) (string, error) {
	users, err := s.sites.SitesUsingDatabase(ctx, s.basis.before().DBServer, database)
	if err != nil || len(users) == 0 {
		return "", err
	}
	return "it is recorded for " + strings.Join(users, ", "), nil
}

// kept looks at other restores that can still be taken back: two sites may have shared the database.
func (s retireDatabase) kept(ctx context.Context, database string) (string, error) {
	open, err := s.graces.OpenGraces(ctx, "")
	if err != nil {
		return "", err
	}
	for _, g := range open {
		if g.TaskID == s.task || len(g.Memo) == 0 {
			continue
		}
		other, err := remember[keeps](g.Memo)
		if err != nil {
			return "", err
		}
		if other.DBServer == s.basis.before().DBServer && strings.EqualFold(other.Database, database) {
			return fmt.Sprintf("restore %s of %s keeps it until its grace time is over", g.TaskID, g.Site), nil
		}
	}
	return "", nil
}

// served looks at the live settings, and at what PHP may still have of the old ones.
func (s retireDatabase) served(ctx context.Context, _ string) (string, error) {
	var doubts perServer[string]
	err := s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		live, err := web.ReadSettings(ctx, s.ref(), "")
		switch {
		case errs.Temporary(err) || errs.Is(err, errs.Cancelled) || errs.Is(err, errs.Storage):
			return err
		case err != nil:
			doubts.set(server, fmt.Sprintf("the live settings on %s cannot be read: %v", server, err))
		case nameOf(live) != s.basis.NewDatabase:
			doubts.set(server, fmt.Sprintf("the live settings on %s name the database %q", server, nameOf(live)))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	for _, server := range doubts.servers() {
		return doubts.m[server], nil
	}
	return s.stalePHP(), nil
}

// stalePHP matters where the old database goes at once; a grace time outlasts every cache that looks at files at all. Web
// servers that a migrated site is new to never had the old settings, and those that it has left are closed.
func (s retireDatabase) stalePHP() string {
	if s.basis.Grace > 0 {
		return ""
	}
	for _, server := range s.stale.servers() {
		if why := s.stale.m[server]; why != "" && !s.basis.fresh(server) {
			return fmt.Sprintf("PHP on %s may still use it: %s", server, why)
		}
	}
	return ""
}
