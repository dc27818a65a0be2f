package dotenv

import (
	"context"
	"slices"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// addresses are the variables that say a site's name, or where it lies:
// Laravel's, Symfony's, and those of Bedrock.
var addresses = []string{"APP_URL", "ASSET_URL", "APP_DOMAIN", "SESSION_DOMAIN", "DEFAULT_URI", "SITE_URL", "WP_HOME", "WP_SITEURL"}

// RewriteSettings implements sitekind.Renamer. Laravel's cached configuration
// holds directories in many places; it is removed where the .env file says the
// database too, as "artisan config:clear" does, and Laravel reads that.
func (Kind) RewriteSettings(ctx context.Context, p sitekind.Place, rewrite sitekind.Rewrite) (changed []string, err error) {
	layers, err := open(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		names, err := rewriteLayer(l, rewrite)
		if err != nil {
			return nil, err
		}
		changed = append(changed, names...)
	}
	removed, err := clearCache(p, layers, rewrite)
	changed = append(changed, removed...)
	slices.Sort(changed)
	return slices.Compact(changed), err
}

func rewriteLayer(l layer, rewrite sitekind.Rewrite) (changed []string, err error) {
	values := map[string]string{}
	for _, name := range addresses {
		now, there, err := l.get(name)
		if sitekind.Unsaid(err) || err == nil && !there {
			continue
		}
		if err != nil {
			return nil, err
		}
		if text, is := rewrite(now); is {
			values[name] = text
			changed = append(changed, name)
		}
	}
	if len(values) == 0 {
		return nil, nil
	}
	return changed, l.set(values)
}

// clearCache removes Laravel's cached configuration if there is something of the old site in it.
func clearCache(p sitekind.Place, layers []layer, rewrite sitekind.Rewrite) (removed []string, err error) {
	made, ok := layers[0].(*compiled)
	if !ok || len(layers) < 2 || layers[1].(*files).project.program != laravel {
		return nil, nil
	}
	data, err := sitekind.ReadFile(p, made.name)
	if err != nil {
		return nil, err
	}
	if _, is := rewrite(string(data)); !is {
		return nil, nil
	}
	return []string{made.name + " (removed)"}, p.Root.Remove(made.name)
}

// KeepsAddresses implements sitekind.AddressKeeper: what editors have written
// is full of them.
func (Kind) KeepsAddresses() bool { return true }
