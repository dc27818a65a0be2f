package sitekind

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Settings are a site's database and credentials.
type Settings struct {
	// Host is a name or an address, IPv6 without brackets. "localhost" may
	// mean a socket that only PHP knows.
	Host string
	// Port is 0 when the settings do not say.
	Port int
	// Socket is the path of a Unix socket; empty for TCP.
	Socket string
	// Name is the database.
	Name     string
	User     string
	Password Secret
	// Prefix begins the names of the site's tables.
	Prefix  string
	Charset string
	// Env names the variables of the web server's environment that hold what
	// the settings do not say themselves. It is zero for plain settings.
	Env EnvNames
}

// Secret holds a text that is never printed, marshalled or logged.
type Secret struct{ text string }

const hidden = "[hidden]"

// NewSecret returns a Secret that holds text.
func NewSecret(text string) Secret { return Secret{text: text} }

// Reveal returns the text. It belongs nowhere but to where it is used.
func (s Secret) Reveal() string { return s.text }

// Equal says whether both hold the same text.
func (s Secret) Equal(t Secret) bool { return s.text == t.text }

// IsEmpty says whether the text is empty.
func (s Secret) IsEmpty() bool { return s.text == "" }

// String implements fmt.Stringer without the text.
func (Secret) String() string { return hidden }

// Format implements fmt.Formatter without the text, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText implements encoding.TextMarshaler without the text; JSON and
// YAML use it too.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer without the text.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// ErrNoSettings means that a site of this kind keeps no settings that are
// known: it has no database, or its operator keeps the credentials himself.
var ErrNoSettings = errors.New("the site keeps no settings that are known")

// Problem classifies what is wrong with a site's settings.
type Problem int

// The problems of a SettingsError.
const (
	// Missing: the file, or one of the settings in it, is not there.
	Missing Problem = iota + 1
	// Broken: the file cannot be parsed.
	Broken
	// NotLiteral: a value is computed when the site runs.
	NotLiteral
	// Ambiguous: which of several values holds depends on a condition.
	Ambiguous
	// Unwritable: a new value cannot be written in the file's format.
	Unwritable
	// Refused: the file is too large, not regular, or outside the site.
	Refused
)

// SettingsError says what is wrong with a site's settings. It holds no value
// out of the settings file.
type SettingsError struct {
	Problem Problem
	// File is relative to the place's Root; Line is 0 if unknown.
	File string
	Line int
	// What says it in words, with what to do.
	What string
	Err  error
}

// Error implements error.
func (e *SettingsError) Error() string {
	where := e.File
	if e.Line > 0 {
		where = fmt.Sprintf("%s line %d", e.File, e.Line)
	}
	if e.Err != nil {
		return fmt.Sprintf("settings in %s: %s: %v", where, e.What, e.Err)
	}
	return fmt.Sprintf("settings in %s: %s", where, e.What)
}

// Unwrap returns the cause.
func (e *SettingsError) Unwrap() error { return e.Err }
