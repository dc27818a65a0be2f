package wordpress

import (
	"context"
	"slices"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// addresses are the constants that say a site's name, or where it lies
// (wp-includes/default-constants.php, ms-default-constants.php, and what the
// usual caching plugins add).
var addresses = []string{
	"WP_HOME", "WP_SITEURL", "DOMAIN_CURRENT_SITE", "COOKIE_DOMAIN", "NOBLOGREDIRECT", "WP_CONTENT_URL", "WP_PLUGIN_URL",
	"WPMU_PLUGIN_URL", "WP_CONTENT_DIR", "WP_PLUGIN_DIR", "WPMU_PLUGIN_DIR", "WP_TEMP_DIR", "WPCACHEHOME",
}

// RewriteSettings implements sitekind.Renamer.
func (Kind) RewriteSettings(ctx context.Context, p sitekind.Place, rewrite sitekind.Rewrite) (changed []string, err error) {
	env, err := bedrock(p)
	if err != nil {
		return nil, err
	}
	if env != nil {
		return env.RewriteSettings(ctx, rewrite)
	}
	f, err := open(ctx, p)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, key := range addresses {
		now, err := f.Get(key)
		if sitekind.Unsaid(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if text, is := rewrite(now); is {
			values[key] = text
			changed = append(changed, key)
		}
	}
	slices.Sort(changed)
	return changed, f.Set(values)
}

// KeepsAddresses implements sitekind.AddressKeeper: the options home and
// siteurl, posts, their metadata, and with several sites in one the domains of each.
func (Kind) KeepsAddresses() bool { return true }
