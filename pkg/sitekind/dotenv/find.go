package dotenv

import (
	"context"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// Find implements sitekind.Finder: the program lies above its docroot, or is
// served as a whole.
func (Kind) Find(ctx context.Context, p sitekind.Place, names []string) ([]sitekind.Found, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.Site = p.InDocroot(".")
	project, err := look(p)
	if err != nil || project.program == none {
		return nil, err
	}
	return []sitekind.Found{{Root: project.dir, Names: names}}, nil
}
