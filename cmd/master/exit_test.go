package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
)

func TestExitStatuses(t *testing.T) {
	byKind := map[errs.Kind]int{errs.Failed: 1, errs.Usage: 2, errs.NotFound: 3, errs.Exists: 1, errs.Busy: 4, errs.Unreachable: 5,
		errs.Permission: 7, errs.Precondition: 1, errs.NoSpace: 1, errs.Corrupt: 1, errs.Cancelled: 1}
	for kind, want := range byKind {
		if got := exitStatus(fmt.Errorf("x: %w", errs.New(kind, "", "y"))); got != want {
			t.Errorf("%v ends with %d, want %d", kind, got, want)
		}
	}
	if len(byKind) != int(errs.Cancelled)+1 {
		t.Error("a kind of error is missing here")
	}
	busy := errs.New(errs.Busy, "", "x")
	rows := map[int]error{0: nil, 1: errors.New("x"), 5: context.DeadlineExceeded, 6: &warned{}, 130: &interrupted{},
		4: gather([]error{busy, &warned{}}), 3: gather([]error{errs.New(errs.NotFound, "", "x")})}
	for want, err := range rows {
		if got := exitStatus(err); got != want {
			t.Errorf("%v ends with %d, want %d", err, got, want)
		}
	}
	if gather(nil) != nil {
		t.Error("no errors are an error")
	}
}

func TestReports(t *testing.T) {
	rows := []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("a\x1bb"), "sitekeep: a\\x1bb\n"},
		{fmt.Errorf("x: %w", errs.New(errs.Busy, "wait\nhere", "y")), "sitekeep: x: y\n  hint: wait\\nhere\n"},
		{&interrupted{}, "sitekeep: interrupted\n"},
		{&interrupted{task: "T1"}, "detached; follow it again with: sitekeep task log -f T1\n"},
		{&several{each: []error{errors.New("a"), errs.New(errs.Busy, "h", "b")}, as: &warned{}}, "sitekeep: a\nsitekeep: b\n  hint: h\n"},
	}
	for _, row := range rows {
		var out strings.Builder
		reportError(&out, row.err)
		if out.String() != row.want {
			t.Errorf("%v is reported as %q, want %q", row.err, out.String(), row.want)
		}
	}
}
