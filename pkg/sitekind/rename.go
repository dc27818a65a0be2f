package sitekind

import (
	"context"
	"errors"
)

// Rewrite returns what a value becomes, and whether it is another one.
type Rewrite = func(value string) (string, bool)

// Renamer is implemented by kinds whose sites say in their settings how they
// are called and where they lie.
type Renamer interface {
	// RewriteSettings passes the settings that hold addresses through rewrite
	// and keeps everything else byte for byte, as WriteSettings does. It names
	// those that have changed. A setting that is not there, or is computed when
	// the site runs, is left as it is.
	RewriteSettings(ctx context.Context, p Place, rewrite Rewrite) (changed []string, err error)
}

// AddressKeeper is implemented by kinds whose sites keep addresses of their own
// in the database, as texts that can be told from others.
type AddressKeeper interface {
	// KeepsAddresses reports whether they do.
	KeepsAddresses() bool
}

// Unsaid reports whether settings do not say a value in words: it is missing, or computed when the site runs.
func Unsaid(err error) bool {
	e, ok := errors.AsType[*SettingsError](err)
	return ok && (e.Problem == Missing || e.Problem == NotLiteral || e.Problem == Ambiguous)
}
