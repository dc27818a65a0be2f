// Package generic is the kind of site of which nothing is known. Where such a
// site keeps its database's address and credentials is said by a file
// .sitekeep.yaml in the site's directory, which is part of the site and
// travels in its backups:
//
//	settings:
//	  file: config/database.php   # relative to the site's directory
//	  format: php                 # or: lines
//	  name: DB_NAME               # php: a constant, or a variable as $db_name
//	  user: DB_USER               # lines: a key
//	  password: DB_PASSWORD
//	  host: DB_HOST               # this and the rest may be left out
//	  port: DB_PORT
//	  socket: DB_SOCKET
//	  prefix: DB_PREFIX
//	  charset: DB_CHARSET
//
// The format php is read as package phplit does. The format lines is for .ini,
// .env, .properties and flat YAML files: one KEY=VALUE or KEY: VALUE a line,
// the value bare or in quotes. Values whose meaning depends on the program that
// reads them (escapes, variables, a key that stands there twice) are refused,
// and so are new values that would need them.
//
// Without port or socket among the keys, they are part of host: HOST:PORT,
// HOST:/SOCKET. Without host, the address is not known and cannot be changed.
//
// Without such a file the site has no settings, which is sitekind.ErrNoSettings:
// right for a site without a database. A site with one can be backed up, but
// its files cannot be told new credentials, so that whoever restores its
// database has to refuse before anything is changed. Old values are never
// looked for and replaced as text: a database named "app" is found everywhere.
package generic

import (
	"context"
	"errors"
	"io/fs"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// Kind is the kind of site. Its zero value is ready.
type Kind struct{}

// New returns the kind.
func New() Kind { return Kind{} }

// Name implements sitekind.Kind.
func (Kind) Name() string { return "generic" }

// Detect implements sitekind.Kind: every directory is a generic site.
func (Kind) Detect(ctx context.Context, p sitekind.Place) (sitekind.Detection, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Detection{}, err
	}
	info, err := p.Root.Stat(p.InSite("."))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return sitekind.Detection{}, nil
	}
	if err != nil {
		return sitekind.Detection{}, err
	}
	d := sitekind.Detection{Found: true}
	if m, err := readMapping(p); err == nil {
		d.SettingsFile = p.InSite(m.File)
	}
	return d, nil
}

// ReadSettings implements sitekind.Kind.
func (Kind) ReadSettings(ctx context.Context, p sitekind.Place) (sitekind.Settings, error) {
	m, f, err := open(ctx, p)
	if err != nil {
		return sitekind.Settings{}, err
	}
	return m.read(p, f)
}

// WriteSettings implements sitekind.Kind.
func (Kind) WriteSettings(ctx context.Context, p sitekind.Place, s sitekind.Settings) error {
	m, f, err := open(ctx, p)
	if err != nil {
		return err
	}
	values, err := m.values(p, f, s)
	if err != nil {
		return err
	}
	return f.Set(values)
}

// Rules implements sitekind.Kind.
func (Kind) Rules(ctx context.Context, p sitekind.Place) (sitekind.Rules, error) {
	if err := ctx.Err(); err != nil {
		return sitekind.Rules{}, err
	}
	m, err := readMapping(p)
	if errors.Is(err, sitekind.ErrNoSettings) {
		return sitekind.Rules{}, nil
	}
	if err != nil {
		return sitekind.Rules{}, err
	}
	return sitekind.Rules{Settings: []string{p.InSite(m.File)}}, nil
}
