package restore

import (
	"context"
	"fmt"
	"strings"

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
	old := s.basis.Site.Database
	m := retireMemo{Name: old.Name, User: old.User}
	if old.Name == "" {
		m.Doubt = "no database was recorded for the site"
		return memo(m)
	}
	err := s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		found, err := s.anySettings(ctx, web)
		if err != nil {
			return err
		}
		if found == nil || found.Name != old.Name {
			m.Doubt = fmt.Sprintf("the settings on %s name the database %q, the inventory %q", server, nameOf(found), old.Name)
		} else {
			m.User = found.User
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return memo(m)
}

// anySettings reads the live settings, and when that fails (the site is broken, so it is being restored) the staged ones.
func (s retireDatabase) anySettings(ctx context.Context, web Web) (*model.DatabaseSettings, error) {
	live, err := web.ReadSettings(ctx, s.ref(), "")
	if err == nil && live != nil {
		return live, nil
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
	if err := s.db(ctx, func(db DB) error { return db.DropDatabase(ctx, m.Name, m.User) }); err != nil {
		return err
	}
	s.log.Log(model.LevelInfo, "dropped the old database %s and its user %s", m.Name, m.User)
	return nil
}

func (s retireDatabase) stillUsed(ctx context.Context, m retireMemo) (doubt string, err error) {
	if m.Name == s.basis.NewDatabase {
		return "it is the new one", nil
	}
	users, err := s.sites.SitesUsingDatabase(ctx, s.basis.Site.DBServer, m.Name)
	if err != nil {
		return "", err
	}
	if len(users) > 0 {
		return "it is recorded for " + strings.Join(users, ", "), nil
	}
	err = s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		live, err := web.ReadSettings(ctx, s.ref(), "")
		if err == nil && nameOf(live) != s.basis.NewDatabase {
			doubt = fmt.Sprintf("the live settings on %s name the database %q", server, nameOf(live))
		}
		return err
	})
	return doubt, err
}
