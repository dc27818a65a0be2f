package dbdump

import (
	"context"
	"crypto/sha1" //nolint:gosec // the format of mysql_native_password
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Account is a user of the database server at one host.
type Account struct {
	User string
	Host string // address, name or pattern, as the server sees the client
}

// String returns 'user'@'host', quoted for SQL.
func (a Account) String() string { return QuoteString(a.User) + "@" + QuoteString(a.Host) }

// UserSpec describes a user with all privileges on one database.
type UserSpec struct {
	Name     string
	Password Secret
	Hosts    []string // from where it may log in; at least one
	Database string   // exactly this one; wildcards in the name are escaped
}

// DropUsersSpec says which accounts to drop.
type DropUsersSpec struct {
	Name     string
	Hosts    []string // nil: wherever the name exists
	Database string   // if set, accounts with privileges on anything else are kept, as KindRefused
}

// systemUsers belong to the server or its distribution.
var systemUsers = []string{"", "root", "mysql", "mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema", "debian-sys-maint"}

const (
	opCreateUser = "create user"
	opDropUser   = "drop user"
)

// errNotOption is ER_OPTION_PREVENTS_STATEMENT: strict_password_validation refuses hashes.
const errNotOption = 1290

// EnsureUser makes the user at each host, or sets its password and grants
// again. A user that has privileges on anything else is KindExists and left alone.
func (in *Instance) EnsureUser(ctx context.Context, spec UserSpec) error {
	if err := in.checkUserSpec(spec); err != nil {
		return err
	}
	for _, h := range spec.Hosts {
		a := Account{spec.Name, h}
		if err := in.ensureAccount(ctx, a, spec.Password, spec.Database); err != nil {
			return fail(opCreateUser, a.String(), scrubErr(err, spec.Password))
		}
	}
	return nil
}

func (in *Instance) checkUserSpec(spec UserSpec) error {
	if err := checkDatabaseName(opCreateUser, spec.Database); err != nil {
		return err
	}
	if slices.Contains(systemUsers, spec.Name) || spec.Name == in.server.User {
		return failAs(KindRefused, opCreateUser, spec.Name, "choose another name", "it is an account of the system")
	}
	if len(spec.Hosts) == 0 || slices.Contains(spec.Hosts, "") || spec.Password.IsZero() {
		return failAs(KindInvalid, opCreateUser, spec.Name, "give a password and the hosts it logs in from", "password or hosts are missing")
	}
	return nil
}

func (in *Instance) ensureAccount(ctx context.Context, a Account, pw Secret, database string) error {
	gs, exists, err := in.accountGrants(ctx, a)
	if err != nil {
		return err
	}
	if beyond, ok := confined(gs, database); !ok {
		return failAs(KindExists, opCreateUser, a.String(), "choose another name", "the account exists and has rights on %s", beyond)
	}
	verb := "ALTER USER "
	if !exists {
		verb = "CREATE USER "
	}
	if err := in.setPassword(ctx, verb+a.String(), pw); err != nil {
		return err
	}
	return in.grantAll(ctx, a, database)
}

// accountGrants returns what an account may do, and whether it exists.
func (in *Instance) accountGrants(ctx context.Context, a Account) ([]grant, bool, error) {
	found, err := in.column(ctx, "SELECT User FROM mysql.user WHERE User = ? AND Host = ?", a.User, a.Host)
	if err != nil || len(found) == 0 {
		return nil, false, err
	}
	lines, err := in.column(ctx, "SHOW GRANTS FOR "+a.String())
	return parseGrants(lines), true, err
}

// setPassword runs CREATE or ALTER USER with a password. Where the plugin lets
// us, the server gets the hash alone, so that no process list or log can show more.
func (in *Instance) setPassword(ctx context.Context, statement string, pw Secret) error {
	plain := statement + " IDENTIFIED BY " + QuoteString(pw.Reveal())
	if in.version.Flavour == MySQL && in.version.AtLeast(8, 0, 0) {
		return in.exec(ctx, plain) // caching_sha2_password; MySQL hides it in its logs
	}
	by := " IDENTIFIED VIA mysql_native_password USING "
	if in.version.Flavour == MySQL {
		by = " IDENTIFIED WITH mysql_native_password AS "
	}
	err := in.exec(ctx, statement+by+QuoteString(nativeHash(pw)))
	var me *mysql.MySQLError
	if errors.As(err, &me) && me.Number == errNotOption {
		return in.exec(ctx, plain)
	}
	return err
}

// nativeHash is what mysql_native_password keeps: * and SHA1(SHA1(password)) in hex.
func nativeHash(pw Secret) string {
	one := sha1.Sum([]byte(pw.Reveal())) //nolint:gosec // the plugin's format
	two := sha1.Sum(one[:])              //nolint:gosec // the plugin's format
	return "*" + strings.ToUpper(hex.EncodeToString(two[:]))
}

// grantAll gives an account all privileges on exactly this database.
func (in *Instance) grantAll(ctx context.Context, a Account, database string) error {
	pattern := grantPattern(database)
	if in.version.Flavour == MySQL && in.version.AtLeast(8, 0, 16) {
		var partial bool // with partial_revokes the name is no pattern
		if err := in.db.QueryRowContext(ctx, "SELECT @@GLOBAL.partial_revokes").Scan(&partial); err != nil {
			return err
		}
		if partial {
			pattern = database
		}
	}
	return in.exec(ctx, "GRANT ALL PRIVILEGES ON "+QuoteIdent(pattern)+".* TO "+a.String())
}

// DropUsers drops accounts; those that do not exist are fine. Accounts of the
// system, and our own, are refused.
func (in *Instance) DropUsers(ctx context.Context, spec DropUsersSpec) error {
	if slices.Contains(systemUsers, spec.Name) || spec.Name == in.server.User {
		return failAs(KindRefused, opDropUser, spec.Name, "", "it is an account of the system")
	}
	hosts := spec.Hosts
	if hosts == nil {
		var err error
		if hosts, err = in.column(ctx, "SELECT Host FROM mysql.user WHERE User = ?", spec.Name); err != nil {
			return fail(opDropUser, spec.Name, err)
		}
	}
	for _, h := range hosts {
		a := Account{spec.Name, h}
		if err := in.dropAccount(ctx, a, spec.Database); err != nil {
			return fail(opDropUser, a.String(), err)
		}
	}
	return nil
}

func (in *Instance) dropAccount(ctx context.Context, a Account, database string) error {
	gs, exists, err := in.accountGrants(ctx, a)
	if err != nil || !exists {
		return err
	}
	if beyond, ok := confined(gs, database); database != "" && !ok {
		return failAs(KindRefused, opDropUser, a.String(), "drop it by hand if nothing needs it", "it has rights on %s", beyond)
	}
	return in.exec(ctx, "DROP USER IF EXISTS "+a.String())
}

// Users returns the accounts that have privileges on exactly this database, sorted.
func (in *Instance) Users(ctx context.Context, database string) ([]Account, error) {
	rows, err := in.db.QueryContext(ctx, "SELECT DISTINCT User, Host FROM mysql.db WHERE Db IN (?, ?) ORDER BY User, Host",
		database, grantPattern(database))
	if err != nil {
		return nil, fail("list users", database, err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var as []Account
	for rows.Next() {
		var a Account
		if err := rows.Scan(&a.User, &a.Host); err != nil {
			return nil, fail("list users", database, err)
		}
		as = append(as, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fail("list users", database, err)
	}
	return as, nil
}
