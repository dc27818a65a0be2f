package wordpress

import (
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/dotenv"
	"github.com/sitekeep/sitekeep/pkg/sitekind/internal/phpfile"
)

// bedrock returns the settings of a site in Bedrock's layout, whose
// wp-config.php says no database and loads config/application.php from above
// the docroot; nil if it is none.
func bedrock(p sitekind.Place) (*dotenv.Bedrock, error) {
	core, _, err := findCore(p)
	if err != nil {
		return nil, err
	}
	config, found, err := findConfig(p, core)
	if err != nil || !found {
		return nil, err
	}
	f, err := phpfile.Open(p, config)
	if err != nil {
		return nil, nil //nolint:nilerr // What is wrong with it is said by who reads it.
	}
	if _, err := f.Get("DB_NAME"); err == nil || !sitekind.Unsaid(err) {
		return nil, nil //nolint:nilerr // See above.
	}
	return dotenv.FindBedrock(p)
}

// outOfReach says that a wp-config.php without a database is Bedrock's, and the
// rest of it above the site's root.
func outOfReach(p sitekind.Place, config string) error {
	text, err := sitekind.ReadFile(p, config)
	if err != nil || p.InDocroot(".") != "." || !strings.Contains(string(text), "config/application.php") {
		return nil //nolint:nilerr // What is wrong with it is said by who reads it.
	}
	return &sitekind.SettingsError{Problem: sitekind.Missing, File: config,
		What: "DB_NAME is not there: the site is laid out as Bedrock's; give the directory above the docroot, which holds .env, as the site's root"}
}
