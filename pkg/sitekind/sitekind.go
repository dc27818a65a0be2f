// Package sitekind says how sites keep their settings: where a site of some
// kind writes down its database and credentials, how they are read, how new
// ones are put in, and which modes its files need.
//
// The kinds are sub-packages; package kinds lists them. A new kind is one
// sub-package, one line in that list, and one row in the table of its suite.
// Files are reached through an *os.Root that the caller gives, and site code
// is parsed, never run.
//
// It refuses to know databases, web servers, tarballs and tasks.
package sitekind

import (
	"context"
	"os"
)

// Place is where a site lies. Root is the site's directory, or the docroot if
// that contains it; nothing outside Root is reached. The caller closes Root.
type Place struct {
	Root *os.Root
	// Site is the site's directory relative to Root, with slashes; empty or
	// "." when Root is it.
	Site string
	// Docroot is the docroot relative to Root, with slashes; "." when Root is
	// it. Empty means the same as Site.
	Docroot string
	// Replace, if not nil, gets what ReplaceFile would write, and nothing is
	// written. Name is relative to Root, and no link.
	Replace func(name string, data []byte) error
	// Notes, if not nil, is where ReplaceFile keeps the times of directories
	// across a crash; see KeepTime.
	Notes *os.Root
}

// Detection says what was found in a place.
type Detection struct {
	// Found says that the site is of this kind.
	Found bool
	// Version is the version of the site's software; empty if unknown.
	Version string
	// SettingsFile is the settings file relative to Root; empty if none.
	SettingsFile string
}

// Kind is one kind of site. Its methods may be called at the same time for
// different places.
type Kind interface {
	// Name is what stands in the catalogue and on the command line.
	Name() string
	// Detect looks whether the site is of this kind. That it is not is no error.
	Detect(ctx context.Context, p Place) (Detection, error)
	// ReadSettings reads the settings. It returns ErrNoSettings when the site
	// keeps none that are known, and a *SettingsError when they are missing,
	// broken, or not written as plain values.
	ReadSettings(ctx context.Context, p Place) (Settings, error)
	// WriteSettings puts the address and credentials (host, port or socket,
	// name, user, password) into the settings file and keeps everything else
	// in it byte for byte, and its owner, mode and extended attributes. Values
	// that are there already are not touched. Prefix and charset are not
	// written. With neither host nor socket, the address is kept as it is. The
	// file is replaced at once: readers see the old or the new
	// one. It may be repeated. Errors are those of ReadSettings.
	WriteSettings(ctx context.Context, p Place, s Settings) error
	// Rules says which modes the site needs.
	Rules(ctx context.Context, p Place) (Rules, error)
}

// StructureOnly is implemented by kinds that know tables whose rows are left
// out of backups unless somebody says otherwise, because the site makes the same
// rows again by itself: caches, and nothing that a visitor, an editor or an
// administrator would miss, such as sessions, logs and search indexes.
type StructureOnly interface {
	// StructureOnly returns patterns of names of tables, without the prefix, as
	// path.Match reads them.
	StructureOnly() []string
}

// CacheHinter is implemented by kinds whose sites keep caches that outlive an
// exchange of files or database.
type CacheHinter interface {
	// CacheHint says in words how an operator clears them; version is that of
	// Detection, empty if unknown.
	CacheHint(version string) string
}
