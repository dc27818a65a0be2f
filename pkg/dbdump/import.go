package dbdump

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
)

// ImportOptions says how to import. One of User and TemporaryUser is given.
type ImportOptions struct {
	Database string // exists, and should be empty
	// User and Password are the account that will own the database: views,
	// triggers, routines and events get it as their definer. It must be able
	// to log in from here (see Instance.OwnHost), have all privileges on
	// Database, and none on anything else: otherwise the import is refused.
	User     string
	Password Secret
	// TemporaryUser is the name of an account that Import makes, confines to
	// Database, and drops at the end. When something in the dump needs it as
	// its definer, it is not dropped but locked and given a password nobody
	// knows; ImportSummary.Definer names it then. The name must not be in use
	// by anything else; DropUsers with it cleans up after a crash.
	TemporaryUser string
	// NoEndMark accepts a dump without the end mark of mysqldump, e.g. one
	// made by another program. A truncated one is then not noticed.
	NoEndMark bool
	// Progress, if set, is called from one goroutine, at most a few times a second.
	Progress func(ImportProgress)
}

// ImportProgress says how far an import is.
type ImportProgress struct {
	Section    Section
	Bytes      int64 // of the dump, executed so far
	Statements int64
	Rows       int64
}

// ImportSummary is what an import did.
type ImportSummary struct {
	Sections   []SectionStats
	Bytes      int64
	Statements int64
	Rows       int64
	Warnings   []Warning
	Definer    *Account // the kept TemporaryUser, or nil
}

// TableRows returns the number of rows imported by table, 0 for empty ones.
func (s ImportSummary) TableRows() map[string]int64 { return tableRows(s.Sections) }

const (
	opImport = "import"
	// importAhead is how many statements, of about 1 MiB, are read ahead of the server.
	importAhead = 2
	// progressEvery is the least time between two reports.
	progressEvery = 250 * time.Millisecond
)

// Import executes a dump in a database under an account that can touch nothing
// else, with no client program and therefore no client commands. Statements
// that reach outside of the database are refused before they reach the server.
// It fails, naming section and statement, at the first statement that fails;
// the database is then half filled and the caller drops it.
//
// r is read from another goroutine, which Import waits for: its Read must
// return when ctx ends. r need not be read to its end when Import fails.
func (in *Instance) Import(ctx context.Context, o ImportOptions, r io.Reader) (ImportSummary, error) {
	if err := checkImport(o); err != nil {
		return ImportSummary{}, err
	}
	im := &importer{in: in, o: o}
	server, err := in.importServer(ctx, o)
	if err != nil {
		return ImportSummary{}, err
	}
	err = im.run(ctx, server, r)
	sum := ImportSummary{
		Sections: im.tally.sections, Bytes: im.tally.total.Bytes,
		Statements: im.tally.total.Statements, Rows: im.tally.total.Rows,
	}
	if o.TemporaryUser != "" {
		var derr error
		sum.Definer, derr = in.retireTemporary(ctx, o, err == nil && im.definer)
		err = errors.Join(err, derr)
	}
	if sum.Definer != nil {
		im.warn.add(WarnDefinerKept, sum.Definer.String(), "views, triggers, routines or events run with its rights: drop it with the database")
	}
	sum.Warnings = im.warn.list
	return sum, err
}

func checkImport(o ImportOptions) error {
	if err := checkDatabaseName(opImport, o.Database); err != nil {
		return err
	}
	if (o.User == "") == (o.TemporaryUser == "") {
		return failAs(KindInvalid, opImport, o.Database, "give one of User and TemporaryUser", "no account, or two")
	}
	return nil
}

// importer is one import on its way. The fields below "executes" belong to the
// goroutine that talks to the server, those below "reads" to the one that reads.
type importer struct {
	in   *Instance
	o    ImportOptions
	conn *sql.Conn
	id   int64 // of the connection

	// executes
	tally    tally
	warn     warnings
	warned   map[string]bool
	dirty    bool // rows that are not committed
	definer  bool // something was made that has a definer
	spared   bool // see sparingly
	reported time.Time

	// reads
	split  *splitter
	track  tracker
	filter filter
	policy policy
	ended  bool
	count  int64
}

// run logs in and imports.
func (im *importer) run(ctx context.Context, s Server, r io.Reader) error {
	db, err := s.open(im.o.Database)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // everything is committed by then, or worthless
	im.conn, err = db.Conn(ctx)
	if err != nil {
		return fail("log in for import", s.User, scrubErr(err, s.Password))
	}
	defer im.conn.Close() //nolint:errcheck // the pool closes it for good
	limit, err := im.prepare(ctx)
	if err != nil {
		return err
	}
	im.split = newSplitter(r, im.in.version.skips)
	im.split.pieces, im.split.limit = false, limit
	im.filter = filter{lex: &im.split.lex}
	im.policy = policy{lex: &im.split.lex, database: im.o.Database}
	if err := im.flow(ctx); err != nil {
		im.kill(ctx)
		return err
	}
	return nil
}

// sessionSettings are for speed and for long waits; the dump's own come later.
// Timeouts are the longest that every server takes.
var sessionSettings = []string{
	"SET SESSION unique_checks=0, foreign_key_checks=0, sql_mode='NO_AUTO_VALUE_ON_ZERO', autocommit=0",
	"SET SESSION wait_timeout=86400, net_read_timeout=3600, net_write_timeout=3600",
}

// prepare refuses an account that can do more than it should, and sets up the
// session. It returns the longest statement that the server takes.
func (im *importer) prepare(ctx context.Context) (int, error) {
	rows, err := im.conn.QueryContext(ctx, "SHOW GRANTS")
	if err != nil {
		return 0, fail(opImport, im.o.Database, err)
	}
	lines, err := scanColumn(rows)
	if err != nil {
		return 0, fail(opImport, im.o.Database, err)
	}
	if beyond, ok := confined(parseGrants(lines), im.o.Database); !ok {
		return 0, failAs(KindRefused, opImport, im.o.Database, "use an account that has rights on this database alone",
			"the account also has rights on %s", beyond)
	}
	for _, q := range sessionSettings {
		if _, err := im.conn.ExecContext(ctx, q); err != nil {
			return 0, fail(opImport, im.o.Database, err)
		}
	}
	var limit int
	err = im.conn.QueryRowContext(ctx, "SELECT CONNECTION_ID(), @@max_allowed_packet").Scan(&im.id, &limit)
	if err != nil {
		return 0, fail(opImport, im.o.Database, err)
	}
	return limit, nil
}

func scanColumn(rows *sql.Rows) ([]string, error) {
	defer rows.Close() //nolint:errcheck // Err tells
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// flow reads and executes at the same time.
func (im *importer) flow(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan order, importAhead)
	g.Go(func() error {
		defer close(queue)
		return im.read(ctx, queue)
	})
	g.Go(func() error {
		for o := range queue {
			if err := im.execute(ctx, o); err != nil {
				return err
			}
		}
		return im.commit(ctx)
	})
	return g.Wait()
}

// kill ends on the server what a failed import may have left running there.
func (im *importer) kill(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), detached)
	defer stop()
	_ = im.in.exec(ctx, fmt.Sprintf("KILL %d", im.id)) // it may be gone already
}
