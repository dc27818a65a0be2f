package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// warned is the error of what was done, with warnings. Its hint says where they can be read.
type warned struct{ text, hint string }

func (w *warned) Error() string { return w.text }

// interrupted is the error of a command that was asked to end (Ctrl-C) before it was done.
type interrupted struct {
	task string // the task that goes on; empty if there is none
	open int    // how many go on, of several
}

func (i *interrupted) Error() string {
	switch {
	case i.task != "":
		return "detached; follow it again with: sitekeep task log -f " + i.task
	case i.open > 0:
		return "detached; " + plural(int64(i.open), "task") + " not ended yet; see: sitekeep task list"
	}
	return "interrupted"
}

// several are the errors of a command that goes on with the rest when one thing fails.
type several struct {
	each []error
	as   error // what they amount to: its kind gives the exit status
}

func (s *several) Error() string { return s.as.Error() }
func (s *several) Unwrap() error { return s.as }

// gather returns what a list of errors amounts to: nothing, the only one, or all of them under the first one's kind.
func gather(all []error) error {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return &several{each: all, as: all[0]}
}

// The exit statuses are part of the interface: scripts rely on them.
const (
	exitWarnings    = 6
	exitInterrupted = 130 // 128 and SIGINT, as a shell reports it; what the task does is not known yet
)

// exitStatus is the one place where kinds of errors become exit statuses.
func exitStatus(err error) int {
	var warning *warned
	var broken *interrupted
	switch {
	case err == nil:
		return 0
	case errors.As(err, &broken):
		return exitInterrupted
	case errors.As(err, &warning):
		return exitWarnings
	}
	switch errs.KindOf(err) {
	case errs.Usage:
		return 2
	case errs.NotFound:
		return 3
	case errs.Busy:
		return 4
	case errs.Unreachable:
		return 5
	case errs.Permission:
		return 7
	}
	return 1
}

// reportError writes what went wrong and what to do next.
func reportError(w io.Writer, err error) {
	var many *several
	var broken *interrupted
	switch {
	case err == nil:
	case errors.As(err, &many):
		for _, each := range many.each {
			reportError(w, each)
		}
	case errors.As(err, &broken) && (broken.task != "" || broken.open > 0):
		fmt.Fprintln(w, broken.Error())
	default:
		fmt.Fprintln(w, "sitekeep: "+printable(err.Error()))
		if hint := hintOf(err); hint != "" {
			fmt.Fprintln(w, "  hint: "+printable(hint))
		}
	}
}

func hintOf(err error) string {
	var warning *warned
	if errors.As(err, &warning) {
		return warning.hint
	}
	return strings.TrimSpace(errs.HintOf(err))
}

// usageError is what the user can see only by reading the command's help.
func usageError(command, format string, args ...any) error {
	return errs.New(errs.Usage, "see: "+command+" --help", format, args...)
}
