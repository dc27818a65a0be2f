package dbdump

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// execute runs one order on the server and counts it.
func (im *importer) execute(ctx context.Context, o order) error {
	if o.err != nil {
		return o.err
	}
	if o.begins {
		if err := im.commit(ctx); err != nil {
			return err
		}
		im.tally.begin(o.section)
		if err := im.sparingly(ctx, o.section); err != nil {
			return err
		}
	}
	if o.sql != "" {
		if _, err := im.conn.ExecContext(ctx, o.sql); err != nil {
			return im.statementFailed(o, err)
		}
		im.dirty = im.dirty || o.insert
		im.definer = im.definer || o.definer
	}
	if o.insert {
		if err := im.noteWarnings(ctx, o); err != nil {
			return err
		}
	}
	im.tally.add(o.bytes, o.rows, o.number > 0)
	im.report(o.section)
	return nil
}

// sparingly takes back the unique_checks=0 of the dump's preamble on MariaDB
// 10.6 and later. There it makes InnoDB load whole transactions in bulk, which
// is no faster and takes more than twice the server's CPU (9 s instead of 21 s
// for 222 MB), and a restore pushes files at the same time.
func (im *importer) sparingly(ctx context.Context, s Section) error {
	v := im.in.version
	if im.spared || s.Kind == SectionPreamble || v.Flavour != MariaDB || !v.AtLeast(10, 6, 0) {
		return nil
	}
	im.spared = true
	if _, err := im.conn.ExecContext(ctx, "SET SESSION unique_checks=1"); err != nil {
		return fail(opImport, im.o.Database, err)
	}
	return nil
}

// commit ends the transaction of a table: one for each costs fewer syncs than
// one for each statement.
func (im *importer) commit(ctx context.Context) error {
	if !im.dirty {
		return nil
	}
	im.dirty = false
	if _, err := im.conn.ExecContext(ctx, "COMMIT"); err != nil {
		return im.statementFailed(order{section: im.tally.sections[len(im.tally.sections)-1].Section, sql: "COMMIT"}, err)
	}
	return nil
}

const hintStatement = "the dump does not fit this database server: compare versions, collations and sql_mode"

// statementFailed names section and statement.
func (im *importer) statementFailed(o order, err error) error {
	f := classify(err)
	switch f.kind {
	case KindOther, KindBroken, KindExists, KindUnknownDatabase:
		f = fault{KindStatement, hintStatement}
	case KindPrivilege, KindAccessDenied:
		f.hint = "the dump reaches for something outside of its database: check where it comes from"
	}
	return failAs(f.kind, opImport, im.subject(o.section), f.hint, "statement %d: %w: %s", o.number, err, excerpt([]byte(o.sql)))
}

// errGenerated is ER_WARNING_NON_DEFAULT_VALUE_FOR_GENERATED_COLUMN: mariadb-dump
// writes values for them, which the server computes anew.
const errGenerated = 1906

// noteWarnings reports, once for a table and number, that the server changed a value.
func (im *importer) noteWarnings(ctx context.Context, o order) error {
	var n int
	if err := im.conn.QueryRowContext(ctx, "SELECT @@warning_count").Scan(&n); err != nil {
		return im.statementFailed(o, err)
	}
	if n == 0 {
		return nil
	}
	rows, err := im.conn.QueryContext(ctx, "SHOW WARNINGS LIMIT 100")
	if err != nil {
		return im.statementFailed(o, err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var level, message string
		var code int
		if err := rows.Scan(&level, &code, &message); err != nil {
			return im.statementFailed(o, err)
		}
		im.noteWarning(o.section.Name, level, code, message)
	}
	if err := rows.Err(); err != nil {
		return im.statementFailed(o, err)
	}
	return nil
}

func (im *importer) noteWarning(table, level string, code int, message string) {
	key := fmt.Sprintf("%s\x00%d", table, code)
	if code == errGenerated || level == "Note" || im.warned[key] {
		return
	}
	if im.warned == nil {
		im.warned = map[string]bool{}
	}
	im.warned[key] = true
	im.warn.add(WarnData, table, fmt.Sprintf("%s (%d), perhaps in more rows", message, code))
}

func (im *importer) report(s Section) {
	if im.o.Progress == nil || time.Since(im.reported) < progressEvery {
		return
	}
	im.reported = time.Now()
	t := im.tally.total
	im.o.Progress(ImportProgress{Section: s, Bytes: t.Bytes, Statements: t.Statements, Rows: t.Rows})
}

// importServer returns the settings to log in with for an import, making the
// temporary account if one is asked for.
func (in *Instance) importServer(ctx context.Context, o ImportOptions) (Server, error) {
	s := in.server
	s.User, s.Password = o.User, o.Password
	if o.TemporaryUser == "" {
		return s, nil
	}
	a, err := in.temporaryAccount(ctx, o.TemporaryUser)
	if err != nil {
		return s, err
	}
	s.User = a.User
	if s.Password, err = GeneratePassword(); err != nil {
		return s, fail(opImport, o.Database, err)
	}
	err = in.DropUsers(ctx, DropUsersSpec{Name: a.User, Hosts: []string{a.Host}, Database: o.Database})
	if err != nil {
		return s, err
	}
	err = in.EnsureUser(ctx, UserSpec{Name: a.User, Password: s.Password, Hosts: []string{a.Host}, Database: o.Database})
	if err != nil {
		_, derr := in.retireTemporary(ctx, o, false)
		err = errors.Join(err, derr)
	}
	return s, err
}

func (in *Instance) temporaryAccount(ctx context.Context, name string) (Account, error) {
	host, err := in.OwnHost(ctx)
	return Account{User: name, Host: host}, err
}

// retireTemporary drops the temporary account, or locks it when the database
// needs it as a definer; ctx may have ended.
func (in *Instance) retireTemporary(ctx context.Context, o ImportOptions, keep bool) (*Account, error) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), detached)
	defer stop()
	a, err := in.temporaryAccount(ctx, o.TemporaryUser)
	if err != nil {
		return nil, err
	}
	if !keep {
		return nil, in.DropUsers(ctx, DropUsersSpec{Name: a.User, Hosts: []string{a.Host}, Database: o.Database})
	}
	pw, err := GeneratePassword()
	if err != nil {
		return nil, fail(opImport, a.String(), err)
	}
	err = in.setPassword(ctx, "ALTER USER "+a.String(), pw)
	lerr := in.exec(ctx, "ALTER USER "+a.String()+" ACCOUNT LOCK")
	if err = errors.Join(err, lerr); err != nil {
		return &a, fail(opImport, a.String(), scrubErr(err, pw))
	}
	return &a, nil
}
