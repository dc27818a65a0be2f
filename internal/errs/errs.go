// Package errs names the kinds of errors that Sitekeep's parts tell each other,
// and carries the hint that tells an operator what to do next. It decides
// nothing from an error's text and knows neither gRPC codes (see
// internal/wire) nor exit statuses (see cmd/master).
package errs

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what sort of failure an error is. Kinds cross the wire; texts do not decide anything.
type Kind int

// The kinds. Their numbers are internal; their names (String) are what crosses the wire.
const (
	Failed       Kind = iota // it went wrong for a reason that no other kind names
	Usage                    // the request itself is wrong
	NotFound                 // the thing that was named does not exist
	Exists                   // the thing to be made is there already
	Busy                     // another task holds the site
	Unreachable              // an agent or the master cannot be reached; may pass
	Permission               // the caller, or the agent's allow-list, does not permit it
	Precondition             // the state of things does not allow it
	NoSpace                  // a file system or a quota is full
	Corrupt                  // stored data is not what was written
	Cancelled                // somebody asked for the end
	Changed                  // what was being read was altered meanwhile; a second reading may come through
	Storage                  // a file system answers with an I/O error, or cannot be written to; passes once it is mended
)

var names = [...]string{
	Failed: "failed", Usage: "usage", NotFound: "not_found", Exists: "exists", Busy: "busy",
	Unreachable: "unreachable", Permission: "permission", Precondition: "precondition",
	NoSpace: "no_space", Corrupt: "corrupt", Cancelled: "cancelled", Changed: "changed",
	Storage: "storage",
}

// String returns the kind's name as it crosses the wire.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(names) {
		return names[Failed]
	}
	return names[k]
}

// ParseKind is the reverse of String; an unknown name is Failed.
func ParseKind(name string) Kind {
	for k, n := range names {
		if n == name {
			return Kind(k)
		}
	}
	return Failed
}

// Error is an error with a kind and, where the operator can act, a hint.
type Error struct {
	Kind Kind
	Hint string // the next action, a sentence without a final full stop; may be empty
	Err  error
}

// Error returns the text without the hint: hints are shown apart.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind, with a hint (may be empty) and a formatted text; %w wraps.
func New(kind Kind, hint, format string, args ...any) error {
	return &Error{Kind: kind, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// KindOf returns the kind of the outermost classified error in err's tree.
// The end of a context counts as Cancelled, its deadline as Unreachable.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return Unreachable
	}
	return Failed
}

// Is reports whether err has the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// HintOf returns the first hint found from the outermost error inwards, or "".
func HintOf(err error) string {
	var e *Error
	for err != nil && errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// Temporary reports whether trying again later may help without anybody's hand.
func Temporary(err error) bool {
	var g *gaveUp
	return Is(err, Unreachable) && !errors.As(err, &g)
}

// GaveUp marks an error that was waited for as long as it was worth: text, kind
// and hint stay, but it is not Temporary any more. GaveUp(nil) is nil.
func GaveUp(err error) error {
	if err == nil {
		return nil
	}
	return &gaveUp{err}
}

type gaveUp struct{ error }

func (g *gaveUp) Unwrap() error { return g.error }
