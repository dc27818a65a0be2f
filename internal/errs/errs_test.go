package errs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
)

func TestKindSurvivesWrapping(t *testing.T) {
	base := errors.New("connection refused")
	err := fmt.Errorf("backup example.com: %w", errs.New(errs.Unreachable, "start the agent", "dial web1: %w", base))
	if !errs.Is(err, errs.Unreachable) || !errs.Temporary(err) {
		t.Fatalf("kind of %v is %v", err, errs.KindOf(err))
	}
	if !errors.Is(err, base) {
		t.Fatal("the cause is lost")
	}
	if got := errs.HintOf(err); got != "start the agent" {
		t.Fatalf("hint = %q", got)
	}
	if got, want := err.Error(), "backup example.com: dial web1: connection refused"; got != want {
		t.Fatalf("text = %q, want %q", got, want)
	}
}

func TestOutermostKindAndFirstHintWin(t *testing.T) {
	inner := errs.New(errs.NotFound, "list them with: sitekeep site list", "no site %q", "x")
	err := errs.New(errs.Precondition, "", "restore: %w", inner)
	if errs.KindOf(err) != errs.Precondition || errs.HintOf(err) != "list them with: sitekeep site list" {
		t.Fatalf("kind %v, hint %q", errs.KindOf(err), errs.HintOf(err))
	}
}

func TestContextErrors(t *testing.T) {
	if errs.KindOf(context.Canceled) != errs.Cancelled || errs.KindOf(context.DeadlineExceeded) != errs.Unreachable {
		t.Fatal("context errors are not classified")
	}
	if errs.KindOf(nil) != errs.Failed || errs.Is(nil, errs.Failed) || errs.HintOf(nil) != "" {
		t.Fatal("nil is no error of any kind")
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for k := errs.Failed; k <= errs.Storage; k++ {
		if errs.ParseKind(k.String()) != k {
			t.Errorf("%d: %q does not come back", k, k)
		}
	}
	if errs.ParseKind("nonsense") != errs.Failed || errs.Kind(99).String() != "failed" {
		t.Error("unknown kinds must be Failed")
	}
}
