package phpfile

import (
	"maps"
	"slices"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/phplit"
)

// Follow says which file is included, relative to the place's Root; empty when
// none that matters is. Its error refuses the settings.
type Follow func(phplit.Include) (name string, err error)

// Chain is a PHP file with those that it includes.
type Chain struct {
	place  sitekind.Place
	name   string
	follow Follow
	parsed map[string]*phplit.File
}

// OpenChain reads and parses a file; those that it includes are read when
// something is looked for. Name is relative to the place's Root.
func OpenChain(p sitekind.Place, name string, follow Follow) (*Chain, error) {
	c := &Chain{place: p, name: name, follow: follow, parsed: map[string]*phplit.File{}}
	_, err := c.file(name)
	return c, err
}

func (c *Chain) file(name string) (*phplit.File, error) {
	if f, ok := c.parsed[name]; ok {
		return f, nil
	}
	f, err := Open(c.place, name)
	if err != nil {
		return nil, err
	}
	c.parsed[name] = f.parsed
	return f.parsed, nil
}

// Find returns what a variable, or the element under its keys, is in the end,
// and in which file that is said. Its error is a *sitekind.SettingsError.
func (c *Chain) Find(name string, keys ...string) (phplit.Found, error) {
	found, err := c.parsed[c.name].Find(c.open, name, keys...)
	if err != nil {
		return phplit.Found{}, settingsError(c.name, err)
	}
	return found, nil
}

// FindArray returns the array that a new element can be put into.
func (c *Chain) FindArray(name string, keys ...string) (phplit.Found, error) {
	found, err := c.parsed[c.name].FindArray(c.open, name, keys...)
	if err != nil {
		return phplit.Found{}, settingsError(c.name, err)
	}
	return found, nil
}

func (c *Chain) open(i phplit.Include) (*phplit.File, error) {
	included, err := c.follow(i)
	if err != nil || included == "" {
		return nil, err
	}
	return c.file(included)
}

// Change is an edit of what Find has returned.
type Change struct {
	Found phplit.Found
	// Text, Key and Null are those of phplit.Edit; the value is Found's.
	Text, Key string
	Null      bool
}

// Write makes changes. Check is called with the chain as it will be, before
// anything is written; its error is returned. Each file is replaced at once;
// when that fails for the second of two, writing again completes it.
func (c *Chain) Write(changes []Change, check func(*Chain) error) error {
	edits := map[string][]phplit.Edit{}
	for _, change := range changes {
		name := change.Found.File.Name()
		edits[name] = append(edits[name], phplit.Edit{Value: change.Found.Value, Text: change.Text, Key: change.Key, Null: change.Null})
	}
	next := &Chain{place: c.place, name: c.name, follow: c.follow, parsed: maps.Clone(c.parsed)}
	contents := map[string][]byte{}
	for name, list := range edits {
		data, err := c.parsed[name].Replace(list...)
		if err == nil {
			next.parsed[name], err = phplit.Parse(name, data)
		}
		if err != nil {
			return unwritable(name, err)
		}
		contents[name] = data
	}
	if err := check(next); err != nil {
		return unwritable(c.name, err)
	}
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if err := sitekind.ReplaceFile(c.place, name, contents[name]); err != nil {
			return err
		}
	}
	return nil
}

func unwritable(name string, err error) error {
	return &sitekind.SettingsError{Problem: sitekind.Unwritable, File: name, What: "the new values cannot be put in", Err: err}
}
