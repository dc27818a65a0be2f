package catalogue

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
)

//go:embed migrations/*.sql
var embedded embed.FS

// applicationID marks the file as ours ("SKCT"), so that another program's database is not migrated by mistake.
const applicationID = 0x534b4354

// migrations returns the embedded files NNNN_name.sql.
func migrations() fs.FS {
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return embedded // cannot be: the pattern above is the directory's name
	}
	return sub
}

// migrate applies, in order and each in a transaction of its own, the files
// whose number is above the schema's. There is no way back.
func migrate(ctx context.Context, db *sql.DB, files fs.FS) error {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	have, err := schemaVersion(ctx, db)
	if err != nil {
		return err
	}
	if have > len(names) {
		return errs.New(errs.Precondition, "install the newer version of sitekeep again; there is no way back to an older one",
			"its schema has version %d and this program knows versions up to %d", have, len(names))
	}
	for i, name := range names[have:] {
		if err := apply(ctx, db, files, name, have+i+1); err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
	}
	return nil
}

func schemaVersion(ctx context.Context, db *sql.DB) (version int, err error) {
	var id, tables int
	for pragma, into := range map[string]*int{
		"PRAGMA user_version": &version, "PRAGMA application_id": &id, "SELECT count(*) FROM sqlite_master": &tables,
	} {
		if err := db.QueryRowContext(ctx, pragma).Scan(into); err != nil {
			return 0, fmt.Errorf("read the schema's version: %w", err)
		}
	}
	if id != applicationID && (version != 0 || tables != 0) {
		return 0, errs.New(errs.Precondition, "give another --data-dir", "it is a database of another program")
	}
	return version, nil
}

// apply runs one file. Numbers must be without gaps from 1, so that the count
// of files is the newest version.
func apply(ctx context.Context, db *sql.DB, files fs.FS, name string, version int) error {
	number, _, _ := strings.Cut(name, "_")
	if n, err := strconv.Atoi(number); err != nil || n != version {
		return fmt.Errorf("its number is not %04d", version)
	}
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // an error here can only say that the transaction has ended
	stamp := fmt.Sprintf("; PRAGMA user_version = %d; PRAGMA application_id = %d", version, applicationID)
	if _, err := tx.ExecContext(ctx, string(text)+stamp); err != nil {
		return err
	}
	return tx.Commit()
}
