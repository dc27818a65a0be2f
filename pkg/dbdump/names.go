package dbdump

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

const (
	// siteNameLength is how much of a site's name Aegir takes: MySQL's limit
	// for users before 5.7.8.
	siteNameLength = 16
	// maxUserName is MySQL's limit for users; MariaDB's is 128.
	maxUserName    = 32
	passwordLength = 32
	passwordChars  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// DatabaseName makes a database and user name out of a site's name, as Aegir
// does: without "www.", dots and hyphens, at most 16 characters. A suffix is
// appended after "_"; the whole has at most 32 characters, MySQL's limit for users.
func DatabaseName(site, suffix string) string {
	base := strings.Map(nameRune, strings.TrimPrefix(strings.ToLower(site), "www."))
	if base == "" || IsSystemDatabase(base) {
		base = "site" + base
	}
	base = base[:min(len(base), siteNameLength)]
	if suffix = strings.Map(nameRune, strings.ToLower(suffix)); suffix == "" {
		return base
	}
	name := base + "_" + suffix
	return name[:min(len(name), maxUserName)]
}

// nameRune keeps what needs no quoting anywhere.
func nameRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
		return r
	}
	return -1
}

// FreeName returns a name for the database and user of a site that neither a
// database nor a user has now: DatabaseName(site, ""), or with suffix 0, 1, ...
func (in *Instance) FreeName(ctx context.Context, site string) (string, error) {
	const op = "find a free database name"
	taken, err := in.column(ctx, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")
	if err != nil {
		return "", fail(op, site, err)
	}
	users, err := in.column(ctx, "SELECT User FROM mysql.user")
	if err != nil {
		return "", fail(op, site, err)
	}
	set := map[string]bool{}
	for _, n := range append(taken, users...) {
		set[strings.ToLower(n)] = true
	}
	name := DatabaseName(site, "")
	for i := 0; set[name]; i++ {
		name = DatabaseName(site, strconv.Itoa(i))
	}
	return name, nil
}

// GeneratePassword returns 32 random characters (about 190 bits) out of letters
// and digits, which need no quoting in any settings file.
func GeneratePassword() (Secret, error) {
	b := make([]byte, passwordLength)
	for i := range b {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(passwordChars))))
		if err != nil {
			return Secret{}, fmt.Errorf("generate password: %w", err)
		}
		b[i] = passwordChars[n.Int64()]
	}
	return NewSecret(string(b)), nil
}
