package sitekind

import "context"

// Finder is implemented by kinds that can tell which sites a docroot serves,
// and how far each of them reaches.
type Finder interface {
	// Find lists the sites of this kind that the place's docroot serves under
	// some host names. The place's Root is the docroot, or the directory above
	// it when that may be a site's; its Site is not looked at. None is no error.
	Find(ctx context.Context, p Place, names []string) ([]Found, error)
}

// Found is a site that Find has found.
type Found struct {
	// Root is the site's directory relative to the place's Root.
	Root string
	// Names are those of the given names that lead to it.
	Names []string
	// Own is the name that the site's directory has been given; empty if none.
	Own string
}
