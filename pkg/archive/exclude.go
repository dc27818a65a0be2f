package archive

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// excludes matches paths of a site against globs.
type excludes []excludeRule

type excludeRule struct {
	components []string // "**" stands for any number
	dirOnly    bool
}

// parseExcludes reads globs as [SourceOptions] describes them.
func parseExcludes(globs []string) (excludes, error) {
	rules := make(excludes, 0, len(globs))
	for _, g := range globs {
		rule, err := parseExclude(g)
		if err != nil {
			return nil, fmt.Errorf("exclude %q: %w", g, err)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func parseExclude(glob string) (excludeRule, error) {
	pattern := strings.TrimPrefix(glob, "./")
	rule := excludeRule{dirOnly: strings.HasSuffix(pattern, "/")}
	anchored := strings.Contains(strings.TrimSuffix(pattern, "/"), "/")
	pattern = strings.Trim(pattern, "/")
	if pattern == "" {
		return rule, errors.New("it names nothing")
	}
	rule.components = strings.Split(pattern, "/")
	if !anchored {
		rule.components = append([]string{"**"}, rule.components...)
	}
	for _, c := range rule.components {
		if _, err := path.Match(c, ""); err != nil {
			return rule, err
		}
	}
	return rule, nil
}

// match reports whether the entry at a path of the site ("./" before it) is left out.
func (x excludes) match(name string, dir bool) bool {
	if len(x) == 0 || name == "./" {
		return false
	}
	components := strings.Split(strings.TrimPrefix(name, "./"), "/")
	for _, rule := range x {
		if (dir || !rule.dirOnly) && matchComponents(rule.components, components) {
			return true
		}
	}
	return false
}

func matchComponents(pattern, name []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for skip := range len(name) + 1 {
				if matchComponents(pattern[1:], name[skip:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], name[0]); err != nil || !ok {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}
