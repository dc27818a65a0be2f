package dotenv

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/internal/phpfile"
	"github.com/sitekeep/sitekeep/pkg/sitekind/phplit"
)

// What is made of .env files, and read in their place.
const (
	// cachedFile is written by Laravel's artisan config:cache.
	cachedFile = "bootstrap/cache/config.php"
	// compiledFile is written by Symfony's dotenv:dump and composer dump-env.
	compiledFile = ".env.local.php"
)

// compiled is a PHP file that returns an array of values.
type compiled struct {
	name  string
	chain *phpfile.Chain
	// keys lead to each variable's value.
	keys map[string][]string
	url  []string
}

// layers returns where a project's variables are, the one that counts first.
func (p project) layers() ([]layer, error) {
	made, err := p.compiled()
	if err != nil {
		return nil, err
	}
	files, err := p.openFiles()
	e, isSettings := errors.AsType[*sitekind.SettingsError](err)
	switch {
	case made == nil && err != nil:
		return nil, err
	case made == nil:
		return []layer{files}, nil
	case isSettings && e.Problem == sitekind.Missing:
		return []layer{made}, nil
	case err != nil:
		return nil, err
	}
	if _, err := read(files); err != nil { // It says no database: only the other does.
		return []layer{made}, nil //nolint:nilerr // See above.
	}
	return []layer{made, files}, nil
}

// compiled opens the file that overrides the .env files; nil if there is none.
func (p project) compiled() (*compiled, error) {
	name := map[program]string{laravel: cachedFile, symfonyApp: compiledFile}[p.program]
	if name == "" {
		return nil, nil
	}
	found, err := p.place.Exists(p.in(name))
	if err != nil || !found {
		return nil, err
	}
	c := &compiled{name: p.in(name)}
	c.chain, err = phpfile.OpenChain(p.place, c.name, nothingFollowed)
	if err != nil {
		return nil, err
	}
	if p.program == laravel {
		return c, c.ofLaravel()
	}
	c.keys, c.url = map[string][]string{}, []string{"DATABASE_URL"}
	for _, name := range []string{"DATABASE_URL", varDriver, varHost, varPort, varSocket, varName, varUser, varPassword, varPrefix, varCharset} {
		c.keys[name] = []string{name}
	}
	return c, nil
}

func nothingFollowed(phplit.Include) (string, error) { return "", nil }

// ofLaravel finds the default connection of Laravel's cached configuration.
func (c *compiled) ofLaravel() error {
	found, err := c.chain.Find(phplit.Returned, "database", "default")
	if err != nil {
		return err
	}
	of := func(key string) []string { return []string{"database", "connections", found.Value.Text, key} }
	c.url = []string{"url"}
	c.keys = map[string][]string{
		"url": of("url"), varDriver: of("driver"), varHost: of("host"), varPort: of("port"), varSocket: of("unix_socket"),
		varName: of("database"), varUser: of("username"), varPassword: of("password"), varPrefix: of("prefix"), varCharset: of("charset"),
	}
	return nil
}

func (c *compiled) where() string { return c.name }

func (c *compiled) urls() []string { return c.url }

// find returns a value; ok is false when it is not there.
func (c *compiled) find(name string) (found phplit.Found, ok bool, err error) {
	found, err = c.chain.Find(phplit.Returned, c.keys[name]...)
	e, is := errors.AsType[*sitekind.SettingsError](err)
	if is && e.Problem == sitekind.Missing {
		return phplit.Found{}, false, nil
	}
	if err == nil && (found.Value.Type == phplit.Array || found.Value.Type == phplit.Environment) {
		err = &sitekind.SettingsError{Problem: sitekind.NotLiteral, File: c.name, Line: found.Value.Line, What: name + " is no plain value"}
	}
	return found, err == nil, err
}

func (c *compiled) get(name string) (string, bool, error) {
	found, ok, err := c.find(name)
	return found.Value.Text, ok, err
}

func (c *compiled) check(values map[string]string) error {
	_, err := c.changes(values)
	return err
}

func (c *compiled) set(values map[string]string) error {
	changes, err := c.changes(values)
	if err != nil || len(changes) == 0 {
		return err
	}
	return c.chain.Write(changes, func(next *phpfile.Chain) error {
		again := &compiled{name: c.name, chain: next, keys: c.keys, url: c.url}
		for name, text := range values {
			if got, _, err := again.get(name); err != nil || got != text {
				return errors.Join(err, fmt.Errorf("%s does not read back as it was written", name))
			}
		}
		return nil
	})
}

func (c *compiled) changes(values map[string]string) ([]phpfile.Change, error) {
	var changes []phpfile.Change
	for _, name := range slices.Sorted(maps.Keys(values)) {
		found, ok, err := c.find(name)
		if err != nil {
			return nil, err
		}
		if ok && found.Value.Text != values[name] {
			changes = append(changes, phpfile.Change{Found: found, Text: values[name]})
		}
		if !ok && values[name] != "" {
			return nil, &sitekind.SettingsError{Problem: sitekind.Unwritable, File: c.name,
				What: name + " has no place in it; make the file again, or remove it"}
		}
	}
	return changes, nil
}
