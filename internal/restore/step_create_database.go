package restore

import (
	"context"
	"fmt"
	"slices"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// createDatabase makes a new database and a new user beside the old ones. The
// user may come from each web server, by the address that the database server
// sees. The password lives in this process only: a restart undoes the step.
type createDatabase struct{ *run }

type createMemo struct {
	Name, User string
	Hosts      []string
}

func (createDatabase) Name() string { return "create_database" }

// Prepare refuses a name that is taken, so that Undo drops only what Do made.
func (s createDatabase) Prepare(ctx context.Context) (saga.Memo, error) {
	hosts, err := s.webHosts(ctx)
	if err != nil {
		return nil, err
	}
	err = s.db(ctx, func(db DB) error {
		state, err := db.InspectDatabase(ctx, s.basis.NewDatabase, nil)
		if err == nil && state.Exists {
			err = errs.New(errs.Exists, "run the restore again; it takes another name", "database %s exists already", s.basis.NewDatabase)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return memo(createMemo{Name: s.basis.NewDatabase, User: s.basis.NewDatabase, Hosts: hosts})
}

func (s createDatabase) webHosts(ctx context.Context) ([]string, error) {
	var seen perServer[string]
	err := s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		host, err := web.ObserveAddress(ctx, s.basis.NewHost)
		if err == nil {
			seen.set(server, host)
		}
		return err
	})
	var hosts []string
	for _, h := range seen.m {
		hosts = append(hosts, h)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), err
}

func (s createDatabase) Do(ctx context.Context, m saga.Memo) error {
	known, err := remember[createMemo](m)
	if err != nil {
		return err
	}
	return s.db(ctx, func(db DB) error { return db.CreateDatabase(ctx, s.newDatabase(known)) })
}

func (r *run) newDatabase(known createMemo) model.NewDatabase {
	return model.NewDatabase{
		Name: known.Name, User: known.User, Hosts: known.Hosts, Password: r.password.Reveal(),
		Charset: r.basis.Charset, Collation: r.basis.Collation, Adopt: true,
	}
}

// UndoAfter: a web server that is away may still use the new database. All else may wait for it without harm.
func (s createDatabase) UndoAfter() []string {
	if s.basis.Part == Drill { // no web server was told of it
		return nil
	}
	if s.basis.WithTables() {
		return []string{exchangeTables{}.Name()}
	}
	if s.basis.WithFiles() {
		return []string{exchangeTrees{}.Name()}
	}
	return []string{switchSettings{}.Name()}
}

func (s createDatabase) Undo(ctx context.Context, m saga.Memo) error {
	known, err := remember[createMemo](m)
	if err != nil {
		return err
	}
	return s.db(ctx, func(db DB) error { return s.drop(ctx, db, known.Name, known.User) })
}

func (s createDatabase) Manual(m saga.Memo) []string {
	known, err := remember[createMemo](m)
	if err != nil {
		return nil
	}
	lines := []string{"# on " + s.basis.Site.DBServer + ", as the database's administrator:", fmt.Sprintf("mariadb -e 'DROP DATABASE IF EXISTS `%s`'", known.Name)}
	for _, host := range known.Hosts {
		lines = append(lines, fmt.Sprintf(`mariadb -e "DROP USER IF EXISTS '%s'@'%s'"`, known.User, host))
	}
	return lines
}
