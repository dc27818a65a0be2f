// Package kinds lists the kinds of site. It knows nothing about any of them.
package kinds

import (
	"fmt"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/dotenv"
	"github.com/sitekeep/sitekeep/pkg/sitekind/drupal"
	"github.com/sitekeep/sitekeep/pkg/sitekind/generic"
	"github.com/sitekeep/sitekeep/pkg/sitekind/wordpress"
)

// All returns every kind, the most particular first: the first one that
// detects a site is its kind, and the last detects every site.
func All() []sitekind.Kind {
	return []sitekind.Kind{
		drupal.New(),
		wordpress.New(),
		dotenv.New(),
		generic.New(),
	}
}

// Names returns the names of all kinds.
func Names() []string {
	var names []string
	for _, k := range All() {
		names = append(names, k.Name())
	}
	return names
}

// ByName returns the kind with a name.
func ByName(name string) (sitekind.Kind, error) {
	for _, k := range All() {
		if k.Name() == name {
			return k, nil
		}
	}
	return nil, fmt.Errorf("site kind %q is unknown; there are: %s", name, strings.Join(Names(), ", "))
}
