package dbdump

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"time"
)

// execute runs one order on the server and counts it. Rows may still be on
// their way then, through other sessions: what comes after them waits as far as
// it must.
func (im *importer) execute(ctx context.Context, o order) error {
	if o.err != nil {
		return firstError(im.settleRows(ctx), o.err)
	}
	if o.begins {
		im.tally.begin(o.section)
		if err := im.sparingly(ctx, o); err != nil {
			return err
		}
	}
	if err := im.runSQL(ctx, o); err != nil {
		return err
	}
	im.tally.add(o.bytes, o.rows, o.number > 0)
	im.report(o.section)
	return nil
}

// runSQL runs an order's statement, if it has one. A huge one is committed before
// more is read. Memory is given back first, that of the smaller buffers in which it
// was read, and then, that of the driver's copy: left to the collector, each would
// stand beside what comes next.
func (im *importer) runSQL(ctx context.Context, o order) error {
	switch {
	case o.sql == "":
		return nil
	case o.over == nil:
		return im.dispatch(ctx, o)
	}
	defer debug.FreeOSMemory()
	debug.FreeOSMemory()
	if err := im.dispatch(ctx, o); err != nil {
		return err
	}
	if err := im.settleRows(ctx); err != nil {
		return err
	}
	close(o.over)
	return nil
}

// dispatch chooses where a statement runs.
func (im *importer) dispatch(ctx context.Context, o order) error {
	if !o.insert || o.section != im.last {
		if err := im.finish(ctx); err != nil {
			return err
		}
	}
	im.last = o.section
	if o.insert {
		return im.dispatchRows(ctx, o)
	}
	if o.toggle && im.planned[o.name] != nil {
		return nil // InnoDB knows no disabled keys
	}
	if err := im.settleFor(o); err != nil {
		return err
	}
	im.note(o)
	return im.main.exec(ctx, o)
}

func (im *importer) dispatchRows(ctx context.Context, o order) error {
	p, err := im.planFor(ctx, o)
	switch {
	case err != nil:
		return fail(opImport, im.subject(o.section), err)
	case p == nil:
		return im.main.exec(ctx, o)
	case p.fan && im.degree > 1:
		return im.fanOut(ctx, o, p)
	}
	return im.main.endure(ctx, im.main.rows(ctx, o, p))
}

// note remembers what later statements depend on.
func (im *importer) note(o order) {
	im.definer = im.definer || o.definer
	im.references = im.references || o.references
	switch {
	case o.verb == "SET":
		im.settings = append(im.settings, o)
	case o.verb == "CREATE" && o.object == "TABLE":
		im.created[o.name] = true
	case o.verb == "ALTER" || o.verb == "DROP":
		if !o.toggle {
			delete(im.created, o.name)
		}
	}
}

// planFor returns the plan for an INSERT's table, or nil. What was begun for
// another table is finished.
func (im *importer) planFor(ctx context.Context, o order) (*tablePlan, error) {
	if im.table != nil && strings.HasPrefix(o.sql, im.table.text) {
		return im.table, nil
	}
	if err := im.finish(ctx); err != nil {
		return nil, err
	}
	if len(o.sql) < leastBatch {
		return nil, nil
	}
	h, ok := parseInsertHead(o)
	if !ok || im.asIs[h.text] {
		return nil, nil
	}
	if im.keying[h.table] { // its keys are being added
		if err := im.settleKeys(); err != nil {
			return nil, err
		}
	}
	if o.over != nil { // its first row is not looked at, which would be copied
		delete(im.created, h.table)
		return nil, nil
	}
	p, err := im.plan(ctx, o, h)
	if err != nil || p == nil {
		im.asIs[h.text] = true
		return nil, err
	}
	im.table, im.planned[h.table] = p, p
	delete(im.created, h.table)
	return p, nil
}

// fanOut gives rows to the next free worker.
func (im *importer) fanOut(ctx context.Context, o order, p *tablePlan) error {
	if im.pool == nil {
		if err := im.startPool(ctx, im.degree); err != nil {
			return err
		}
	}
	if err := im.yield(ctx); err != nil {
		return err
	}
	return im.pool.submit(ctx, job{order: o, plan: p, settings: im.settings})
}

const (
	lookEvery  = 500 * time.Millisecond // at Threads_running
	backOff    = 100 * time.Millisecond
	mostPauses = 50 // for one batch: a server that is always busy gets an import all the same
)

// yield stands back while the server has more to do than ImportOptions.MaxRunning.
func (im *importer) yield(ctx context.Context) error {
	if im.o.MaxRunning == 0 || time.Since(im.looked) < lookEvery {
		return nil
	}
	im.pool.rows.Wait() // so that what runs is not ours
	busy, err := im.busy(ctx)
	for i := 0; err == nil && busy && i < mostPauses; i++ {
		select {
		case <-ctx.Done():
			return fail(opImport, im.o.Database, context.Cause(ctx))
		case <-time.After(backOff):
		}
		busy, err = im.busy(ctx)
	}
	im.looked = time.Now()
	return err
}

// busy reports whether more than MaxRunning threads run beside the one that
// asks and those that add keys for us.
func (im *importer) busy(ctx context.Context) (bool, error) {
	var name string
	var running int
	err := im.main.conn.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Threads_running'").Scan(&name, &running)
	if err != nil {
		return false, fail(opImport, im.o.Database, err)
	}
	return running-1-len(im.keying) > im.o.MaxRunning, nil
}

// finish waits for the rows of the current table, commits them and has its keys added.
func (im *importer) finish(ctx context.Context) error {
	p := im.table
	im.table = nil
	if err := im.settleRows(ctx); err != nil || p == nil || p.keys.add == "" {
		return err
	}
	if im.pool == nil {
		return im.main.addKeys(ctx, p)
	}
	im.keying[p.table] = true
	return im.pool.submit(ctx, job{plan: p, keys: true, settings: im.settings, order: order{number: im.done}})
}

// settleRows waits for all rows that are on their way and commits them.
func (im *importer) settleRows(ctx context.Context) error {
	if im.pool != nil {
		if err := im.pool.settle(); err != nil {
			return err
		}
	}
	return im.main.endure(ctx, im.main.commit(ctx, im.current()))
}

// current is the section that is being executed.
func (im *importer) current() Section {
	if n := len(im.tally.sections); n > 0 {
		return im.tally.sections[n-1].Section
	}
	return Section{}
}

func (im *importer) settleKeys() error {
	clear(im.keying)
	if im.pool == nil {
		return nil
	}
	return im.pool.settleKeys()
}

// settleFor waits for the keys that are being added, unless a statement can
// have nothing to do with their tables.
func (im *importer) settleFor(o order) error {
	apart := o.verb == "SET" || o.object == "TABLE" && !o.references
	if len(im.keying) == 0 || apart && !im.keying[o.name] {
		return nil
	}
	return im.settleKeys()
}

// sparingly takes back the unique_checks=0 of the dump's preamble on MariaDB
// 10.6 and later. There it makes InnoDB load whole transactions in bulk, which
// is no faster and takes more than twice the server's CPU (9 s instead of 21 s
// for 222 MB), and a restore pushes files at the same time.
func (im *importer) sparingly(ctx context.Context, o order) error {
	v := im.in.version
	if im.spared || o.section.Kind == SectionPreamble || v.Flavour != MariaDB || !v.AtLeast(10, 6, 0) {
		return nil
	}
	im.spared = true
	set := order{section: o.section, sql: "SET SESSION unique_checks=1", verb: "SET"}
	im.note(set)
	return im.main.exec(ctx, set)
}

const hintStatement = "the dump does not fit this database server: compare versions, collations and sql_mode"

// hintDeadlock is for two of our own transactions.
const hintDeadlock = "try again; if it fails again, the dump most likely has a value of a unique key twice in this table"

// statementFailed names section and statement.
func (im *importer) statementFailed(o order, err error) error {
	f := classify(err)
	switch {
	case isDeadlock(err):
		f = fault{KindStatement, hintDeadlock}
	case isBrokenOff(err):
		f = fault{KindStatement, hintLocked}
	}
	switch f.kind {
	case KindOther, KindBroken, KindExists, KindUnknownDatabase:
		f = fault{KindStatement, hintStatement}
	case KindPrivilege, KindAccessDenied:
		f.hint = "the dump reaches for something outside of its database: check where it comes from"
	}
	return failAs(f.kind, opImport, im.subject(o.section), f.hint, "statement %d: %w: %s", o.number, err, excerpt([]byte(o.sql)))
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
