package wordpress

import (
	"context"
	"path"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// Find implements sitekind.Finder: a docroot holds one WordPress, whose
// wp-config.php, or Bedrock's .env, may lie above it and is then part of the site.
func (Kind) Find(ctx context.Context, p sitekind.Place, names []string) ([]sitekind.Found, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	core, hasCore, err := findCore(p)
	if err != nil {
		return nil, err
	}
	config, hasConfig, err := findConfig(p, core)
	if err != nil || !hasCore && !hasConfig {
		return nil, err
	}
	root := p.InDocroot(".")
	if hasConfig && root != "." && path.Dir(config) != root && !strings.HasPrefix(path.Dir(config), root+"/") {
		root = path.Dir(config)
	}
	env, err := bedrock(p)
	if env != nil {
		root = env.Root()
	}
	return []sitekind.Found{{Root: root, Names: names}}, err
}
