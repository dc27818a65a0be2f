package dbdump

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
)

// maxDatabaseName is the longest name of a database, in characters.
const maxDatabaseName = 64

// DatabaseSpec describes a database to be made.
type DatabaseSpec struct {
	Name      string
	Charset   string // "": utf8mb4
	Collation string // "": the charset's default
	Ours      bool   // it may exist: a repeated step
}

const (
	opCreateDatabase = "create database"
	opDropDatabase   = "drop database"
)

var charsetName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// CreateDatabase makes a database. One that exists is KindExists, unless
// spec.Ours: then it is left as it is, but for its default charset.
func (in *Instance) CreateDatabase(ctx context.Context, spec DatabaseSpec) error {
	if err := checkDatabaseName(opCreateDatabase, spec.Name); err != nil {
		return err
	}
	defaults, err := spec.defaults()
	if err != nil {
		return err
	}
	name := QuoteIdent(spec.Name)
	err = in.exec(ctx, "CREATE DATABASE "+name+defaults)
	var me *mysql.MySQLError
	if errors.As(err, &me) && me.Number == 1007 && spec.Ours {
		err = in.exec(ctx, "ALTER DATABASE "+name+defaults)
	}
	if err != nil {
		return fail(opCreateDatabase, spec.Name, err)
	}
	return nil
}

func (spec DatabaseSpec) defaults() (string, error) {
	if spec.Charset == "" {
		spec.Charset = "utf8mb4"
	}
	s := " CHARACTER SET " + spec.Charset
	if spec.Collation != "" {
		s += " COLLATE " + spec.Collation
	}
	if !charsetName.MatchString(spec.Charset + spec.Collation) {
		return "", failAs(KindInvalid, opCreateDatabase, spec.Name, "check charset and collation", "%q is none", s)
	}
	return s, nil
}

// DropDatabase removes a database; one that does not exist is fine. System
// databases are refused.
func (in *Instance) DropDatabase(ctx context.Context, name string) error {
	if err := checkDatabaseName(opDropDatabase, name); err != nil {
		return err
	}
	if err := in.exec(ctx, "DROP DATABASE IF EXISTS "+QuoteIdent(name)); err != nil {
		return fail(opDropDatabase, name, err)
	}
	return nil
}

// checkDatabaseName refuses the server's own databases and impossible names.
func checkDatabaseName(op, name string) error {
	switch {
	case IsSystemDatabase(name):
		return failAs(KindRefused, op, name, "", "it is a database of the server itself")
	case name == "" || utf8.RuneCountInString(name) > maxDatabaseName || !utf8.ValidString(name) ||
		strings.ContainsRune(name, 0) || strings.HasSuffix(name, " "):
		return failAs(KindInvalid, op, name, "use 1 to 64 characters", "%q is no name for a database", name)
	}
	return nil
}
