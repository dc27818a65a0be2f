package sitekind

import (
	"bytes"
	"context"
	"net/url"
	"strings"
)

// leastSecret is how long a password must be, in bytes, to be looked for in
// what is left of a settings file: a shorter one may stand there as a word.
const leastSecret = 8

// Blanked is a settings file with an empty password.
type Blanked struct {
	// Name is relative to the place's Root, and no link.
	Name    string
	Content []byte
}

// Blank returns the settings files that hold the password of the site's
// database, as they would be with an empty one; nothing is written. Address,
// database and user stay: they are no secrets. It returns nothing where no file
// holds a password, and a *SettingsError where the password cannot be taken
// out, or stands in the same file a second time.
func Blank(ctx context.Context, k Kind, p Place) ([]Blanked, error) {
	settings, err := k.ReadSettings(ctx, p)
	if err != nil {
		return nil, err
	}
	var out []Blanked
	p.Replace = func(name string, data []byte) error {
		out = append(out, Blanked{Name: name, Content: bytes.Clone(data)})
		return nil
	}
	password := settings.Password
	settings.Password = Secret{}
	settings.Host, settings.Port, settings.Socket = "", 0, "" // keeps the address
	if err := k.WriteSettings(ctx, p, settings); err != nil {
		return nil, err
	}
	for _, b := range out {
		if holds(b.Content, password.Reveal()) {
			return nil, &SettingsError{Problem: Unwritable, File: b.Name,
				What: "the password cannot be blanked, because it stands there a second time, as in a comment; take that out"}
		}
	}
	return out, nil
}

// holds reports whether a password is in a text, as it is or as PHP and
// addresses have it.
func holds(text []byte, password string) bool {
	if len(password) < leastSecret {
		return false
	}
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password)
	for _, form := range []string{password, quoted, url.QueryEscape(password), url.PathEscape(password), url.UserPassword("", password).String()[1:]} {
		if bytes.Contains(text, []byte(form)) {
			return true
		}
	}
	return false
}
