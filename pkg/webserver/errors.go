package webserver

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoMaintenance is returned by RenewMaintenance when the owner no longer
// holds the maintenance: its lease ran out and was swept, or it was ended.
var ErrNoMaintenance = errors.New("the maintenance is not held any more; begin it again")

// ErrNoVhost is returned by WaitServing for a site without a virtual host.
var ErrNoVhost = errors.New("there is no virtual host; write it first")

// ForeignVhostError says that a virtual host is not what we wrote.
type ForeignVhostError struct {
	Path string
	// Edited is true for a file that we wrote and somebody changed, false for
	// a file that was never ours.
	Edited bool
}

// Error implements error.
func (e *ForeignVhostError) Error() string {
	if e.Edited {
		return fmt.Sprintf("%s was edited by hand; put the changes into a template of the template directory "+
			"and remove the file, or let the site's virtual host be external", e.Path)
	}
	return fmt.Sprintf("%s was not written by sitekeep; move it away, or let the site's virtual host be external", e.Path)
}

// CommandError says that a test or reload command failed.
type CommandError struct {
	// What is "configuration test", "reload" or "PHP reload".
	What string
	// Argv is the command.
	Argv []string
	// Output is what the command wrote, bounded.
	Output string
	// AlreadyBroken is true when the configuration test fails in the same way
	// without our change.
	AlreadyBroken bool
	Err           error
}

// Error implements error.
func (e *CommandError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s) failed: %v", e.What, strings.Join(e.Argv, " "), e.Err)
	if out := strings.TrimSpace(e.Output); out != "" {
		fmt.Fprintf(&b, ": %s", out)
	}
	if e.AlreadyBroken {
		b.WriteString("; it fails without the new virtual host too: mend the web server's configuration first")
	}
	return b.String()
}

// OfTest reports whether it was the test that failed: then nothing was reloaded.
func (e *CommandError) OfTest() bool { return e.What == whatTest }

// Unwrap returns the cause.
func (e *CommandError) Unwrap() error { return e.Err }
