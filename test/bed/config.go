package bed

import (
	"fmt"
	"os"
	"regexp"
)

var defineLine = regexp.MustCompile(`(?m)^\s*define\(\s*'([A-Z_]+)',\s*'((?:[^'\\]|\\.)*)'\s*\);`)

// ReadConfig reads the string constants of the site's wp-config.php as it is
// now.
func (s *WordPress) ReadConfig() (map[string]string, error) { return ReadConfig(s.ConfigPath()) }

// ReadConfig reads the string constants of a wp-config.php by a pattern of this
// package's own, so that what a test compares with does not come from the code
// under test.
func ReadConfig(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	values := map[string]string{}
	for _, m := range defineLine.FindAllStringSubmatch(string(text), -1) {
		values[m[1]] = unescape.ReplaceAllString(m[2], "$1")
	}
	if values["DB_NAME"] == "" {
		return nil, fmt.Errorf("settings: %s defines no DB_NAME", path)
	}
	return values, nil
}

// In single quotes PHP knows two escapes: \' and \\.
var unescape = regexp.MustCompile(`\\(['\\])`)
