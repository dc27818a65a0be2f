package dbdump

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"runtime"
	"sync"
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
	// Parallel is through how many connections the rows of large tables go in;
	// 0: as many as there are cores, at most 4. The result does not depend on it.
	Parallel int
	// MaxRunning, if not 0, makes the import stand back while more than this
	// many threads of other clients run on the server (Threads_running).
	MaxRunning int
	// Tables, if not empty, are the tables and sequences, by exact name, that
	// are imported: structure, rows and triggers. Nothing else in the dump runs
	// but what sets the session, and all sequences, which columns may need. A
	// table that the dump does not have fails the import.
	Tables []string
	// Progress, if set, is called from one goroutine, at most a few times a second.
	Progress func(ImportProgress)
}

// ImportProgress says how far an import is.
type ImportProgress struct {
	Section    Section
	Bytes      int64 // of the dump, executed or under way
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
	// mostParallel bounds ImportOptions.Parallel's default: beyond it the server's log is the brake.
	mostParallel = 4
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
	im := newImporter(in, o)
	var err error
	if im.server, err = in.importServer(ctx, o); err != nil {
		return ImportSummary{}, err
	}
	err = im.run(ctx, r)
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
// goroutine that executes the dump, those below "reads" to the one that reads.
type importer struct {
	in     *Instance
	o      ImportOptions
	server Server // as the account of the import
	db     *sql.DB
	packet int // the longest statement that the server takes, in bytes
	degree int

	// Rows go in under its read lock; those of a transaction that was broken off
	// run again under its write lock. See session.endure.
	lane sync.RWMutex

	mu     sync.Mutex // guards warn and warned
	warn   warnings
	warned map[string]bool

	// executes
	main       *session
	pool       *pool // nil until there are rows for it
	tally      tally
	settings   []order // SETs of the dump so far
	table      *tablePlan
	last       Section               // of the last statement that ran on main
	done       int64                 // number of the last statement that was begun
	created    map[string]bool       // empty tables of ours
	planned    map[string]*tablePlan // tables that had a plan, which are InnoDB's
	keying     map[string]bool       // tables whose keys are being added
	asIs       map[string]bool       // heads of INSERTs without a plan
	references bool                  // a foreign key was made
	definer    bool                  // something was made that has a definer
	spared     bool                  // see sparingly
	reported   time.Time
	looked     time.Time // at Threads_running

	// reads
	split  *splitter
	track  tracker
	filter filter
	policy policy
	ended  bool
	count  int64
	chosen map[string]bool // of ImportOptions.Tables: whether it was found
}

func newImporter(in *Instance, o ImportOptions) *importer {
	im := &importer{
		in: in, o: o, degree: o.Parallel,
		created: map[string]bool{}, planned: map[string]*tablePlan{}, keying: map[string]bool{}, asIs: map[string]bool{},
	}
	if im.degree <= 0 {
		im.degree = min(runtime.NumCPU(), mostParallel)
	}
	for _, name := range o.Tables {
		if im.chosen == nil {
			im.chosen = map[string]bool{}
		}
		im.chosen[name] = false
	}
	return im
}

// run logs in and imports.
func (im *importer) run(ctx context.Context, r io.Reader) error {
	db, err := im.server.open(im.o.Database)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // everything is committed by then, or worthless
	im.db = db
	db.SetMaxOpenConns(im.degree + 1)
	if im.main, err = im.newSession(ctx); err != nil {
		return err
	}
	defer im.main.close()
	if err := im.prepare(ctx); err != nil {
		return err
	}
	im.split = newSplitter(r, im.in.version.skips)
	im.split.pieces, im.split.limit = false, im.packet
	im.filter = filter{lex: &im.split.lex}
	im.policy = policy{lex: &im.split.lex, database: im.o.Database}
	err = im.flow(ctx)
	sessions := []*session{im.main}
	if im.pool != nil {
		sessions = append(sessions, im.pool.sessions...)
	}
	if err != nil {
		im.kill(ctx, sessions)
	}
	return err
}

// prepare refuses an account that can do more than it should, and learns how
// long a statement the server takes.
func (im *importer) prepare(ctx context.Context) error {
	rows, err := im.main.conn.QueryContext(ctx, "SHOW GRANTS")
	if err != nil {
		return fail(opImport, im.o.Database, err)
	}
	lines, err := scanColumn(rows)
	if err != nil {
		return fail(opImport, im.o.Database, err)
	}
	if beyond, ok := confined(parseGrants(lines), im.o.Database); !ok {
		return failAs(KindRefused, opImport, im.o.Database, "use an account that has rights on this database alone",
			"the account also has rights on %s", beyond)
	}
	if err := im.main.conn.QueryRowContext(ctx, "SELECT @@max_allowed_packet").Scan(&im.packet); err != nil {
		return fail(opImport, im.o.Database, err)
	}
	return nil
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
	g.Go(func() (err error) {
		defer func() {
			if im.pool != nil {
				err = firstError(im.pool.stop(err != nil), err)
			}
		}()
		for o := range queue {
			im.done = o.number
			if err := im.execute(ctx, o); err != nil {
				return err
			}
		}
		return firstError(im.finish(ctx), im.settleKeys())
	})
	return g.Wait()
}
