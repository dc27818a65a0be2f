package drupal

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/internal/phpfile"
	"github.com/sitekeep/sitekeep/pkg/sitekind/phplit"
)

// addresses are the settings that say a site's name, or where it lies, as in
// default.settings.php of Drupal 7 and 10.
var addresses = [][]string{
	{"$base_url"}, {"$cookie_domain"}, {"$settings", "file_public_base_url"}, {"$settings", "file_private_path"},
	{"$settings", "file_temp_path"}, {"$settings", "config_sync_directory"}, {"$conf", "file_private_path"}, {"$conf", "file_temporary_path"},
}

// maxPatterns bounds how many trusted_host_patterns are looked at.
const maxPatterns = 64

// RewriteSettings implements sitekind.Renamer. Of trusted_host_patterns, those
// that stand for one name are rewritten; one for more than that is not told from
// others.
func (Kind) RewriteSettings(ctx context.Context, p sitekind.Place, rewrite sitekind.Rewrite) (changed []string, err error) {
	d, err := open(ctx, p)
	if err != nil {
		return nil, err
	}
	r := &renaming{chain: d.chain}
	for _, key := range addresses {
		if _, err := r.look(rewrite, key); err != nil {
			return nil, err
		}
	}
	for i := range maxPatterns {
		there, err := r.look(ofPattern(rewrite), []string{"$settings", "trusted_host_patterns", strconv.Itoa(i)})
		if err != nil {
			return nil, err
		}
		if !there {
			break
		}
	}
	if len(r.changes) == 0 {
		return nil, nil
	}
	return r.names, d.chain.Write(r.changes, func(*phpfile.Chain) error { return nil })
}

// renaming collects what is to be written.
type renaming struct {
	chain   *phpfile.Chain
	changes []phpfile.Change
	names   []string
}

// look rewrites one setting, and reports whether it is said in words.
func (r *renaming) look(rewrite sitekind.Rewrite, key []string) (there bool, err error) {
	found, err := r.chain.Find(key[0], key[1:]...)
	if sitekind.Unsaid(err) {
		return false, nil
	}
	if err != nil || found.Value.Type == phplit.Array || found.Value.Env != "" {
		return false, err
	}
	if text, is := rewrite(found.Value.Text); is {
		r.changes = append(r.changes, phpfile.Change{Found: found, Text: text})
		r.names = append(r.names, strings.Join(key, " "))
	}
	return true, nil
}

// ofPattern rewrites a regular expression that stands for one name: ^www\.example\.com$.
func ofPattern(rewrite sitekind.Rewrite) sitekind.Rewrite {
	return func(pattern string) (string, bool) {
		name, begins := strings.CutPrefix(pattern, "^")
		name, ends := strings.CutSuffix(name, "$")
		if !begins || !ends {
			return pattern, false
		}
		name, is := rewrite(strings.ReplaceAll(name, `\.`, "."))
		if !is {
			return pattern, false
		}
		return "^" + regexp.QuoteMeta(name) + "$", true
	}
}

// KeepsAddresses implements sitekind.AddressKeeper: texts with links and images,
// and the directories of files in variables and configuration.
func (Kind) KeepsAddresses() bool { return true }
