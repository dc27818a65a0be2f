package dbdump

import (
	"errors"
	"strings"
)

// Kind says what sort of failure an Error is, so that callers decide by it
// and not by text.
type Kind int

// The kinds of failure.
const (
	KindOther           Kind = iota // nothing below fits
	KindAccessDenied                // user or password is wrong, or this address may not log in
	KindUnknownDatabase             // the database does not exist
	KindUnreachable                 // the server is down, went away, or its address is wrong
	KindPrivilege                   // the account lacks a privilege
	KindBinlogTrust                 // error 1419: binary log on, neither SUPER nor log_bin_trust_function_creators
	KindDiskFull                    // the database server has no room
	KindExists                      // what was to be made exists and is not ours
	KindRefused                     // a guard of this package refused (system database, hostile statement)
	KindIncomplete                  // a dump without its end mark
	KindClient                      // the dump program is missing or failed
	KindBroken                      // a table or view that cannot be read
	KindChanged                     // error 1412: the structure changed during the dump; try again
	KindStatement                   // the server rejected a statement of an import
	KindTooLarge                    // a statement is larger than max_allowed_packet, or than our own bound
	KindInvalid                     // settings or arguments that cannot work
	KindCancelled                   // the context ended
	KindSink                        // the caller's sink or reader failed
	KindMemory                      // the database server, or this machine, is out of memory
)

var kindNames = [...]string{
	"other", "access denied", "unknown database", "unreachable", "privilege", "binlog trust", "disk full",
	"exists", "refused", "incomplete", "client", "broken", "changed", "statement", "too large", "invalid",
	"cancelled", "sink", "memory",
}

// String names the kind in English.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return "other"
	}
	return kindNames[k]
}

// Error is every error this package returns. Neither it nor what it wraps
// contains a password.
type Error struct {
	Op      string // what was done, e.g. "dump", "import", "create user"
	Subject string // on what, e.g. a database, table or account; may be empty
	Kind    Kind
	Hint    string // what an operator can do; may be empty
	Err     error
}

// Error returns one line without the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Subject != "" {
		b.WriteString(" " + e.Subject)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	} else {
		b.WriteString(": " + e.Kind.String())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in err's chain, else KindOther.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindOther
}

// HintOf returns the hint of the first Error in err's chain that has one.
func HintOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
