package dbdump

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"time"
)

// detached bounds clean-up that goes on after a caller's context has ended.
const detached = 30 * time.Second

// Options are what Open may be given beside the server; the zero value is good.
type Options struct {
	Runner      Runner // nil: Exec
	DumpProgram string // path of mariadb-dump or mysqldump; "": found in PATH, by the server's flavour
	// LockWait bounds how long a statement that makes, changes or drops databases
	// and accounts waits for somebody who uses them; in whole seconds, 0: 30 s.
	LockWait time.Duration
}

// Instance is a database server at which we are logged in as its
// administrator. It is safe for concurrent use.
type Instance struct {
	server  Server // resolved
	options Options
	db      *sql.DB
	version Version

	mu      sync.Mutex
	dumper  *program // found at its first use
	ownHost string
}

// Open logs in, and learns the server's flavour and version.
func Open(ctx context.Context, s Server, o Options) (*Instance, error) {
	s, err := s.resolve()
	if err != nil {
		return nil, err
	}
	if o.Runner == nil {
		o.Runner = Exec{}
	}
	if o.LockWait < time.Second {
		o.LockWait = lockWait * time.Second
	}
	db, err := s.open("")
	if err != nil {
		return nil, err
	}
	in := &Instance{server: s, options: o, db: db}
	var number, comment string
	err = db.QueryRowContext(ctx, "SELECT VERSION(), @@version_comment").Scan(&number, &comment)
	if err != nil {
		err = fail("log in to database server", s.User+" at "+s.Address(), scrubErr(err, s.Password))
		return nil, errors.Join(err, db.Close())
	}
	in.version = parseVersion(number, comment)
	return in, nil
}

// Close ends all connections.
func (in *Instance) Close() error { return in.db.Close() }

// Version returns what the server said of itself when it was opened.
func (in *Instance) Version() Version { return in.version }

// DumpProgram returns the path of the program that Dump would run, and its
// version. It fails with KindClient if there is none that can be run.
func (in *Instance) DumpProgram(ctx context.Context) (path string, v Version, err error) {
	p, err := in.dumpProgram(ctx)
	if err != nil {
		return "", Version{}, err
	}
	return p.path, p.version, nil
}

// DataDir returns the directory where the server keeps its data, as the server
// names it: on its own machine, which need not be this one.
func (in *Instance) DataDir(ctx context.Context) (string, error) {
	dirs, err := in.column(ctx, "SELECT @@datadir")
	if err != nil {
		return "", fail("ask for the data directory", "", err)
	}
	return strings.Join(dirs, ""), nil
}

// column runs a query for one column of texts; NULLs are left out.
func (in *Instance) column(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := in.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var out []string
	for rows.Next() {
		var s sql.NullString
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		if s.Valid {
			out = append(out, s.String)
		}
	}
	return out, rows.Err()
}
