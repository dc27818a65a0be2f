package dbdump

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret holds a password. Whatever prints it (fmt with any verb, JSON, text,
// YAML, slog) gets "[redacted]", also when it is an unexported field of
// something printed with %+v. The zero value is the empty password.
type Secret struct {
	value *string // a pointer, because fmt prints the insides of unexported fields
}

// NewSecret wraps a password.
func NewSecret(s string) Secret { return Secret{value: &s} }

// Reveal returns the password itself; its result must not reach a log, an
// error, an argument list or an environment.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether the password is empty.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Equal reports whether both hold the same password.
func (s Secret) Equal(o Secret) bool { return s.Reveal() == o.Reveal() }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns "[redacted]"; JSON uses it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML returns "[redacted]".
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }

// LogValue returns "[redacted]" for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
