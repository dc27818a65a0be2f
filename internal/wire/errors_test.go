package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
)

var kindCodes = map[errs.Kind]codes.Code{
	errs.Failed: codes.Unknown, errs.Usage: codes.InvalidArgument, errs.NotFound: codes.NotFound,
	errs.Exists: codes.AlreadyExists, errs.Busy: codes.Aborted, errs.Unreachable: codes.Unavailable,
	errs.Permission: codes.PermissionDenied, errs.Precondition: codes.FailedPrecondition,
	errs.NoSpace: codes.ResourceExhausted, errs.Corrupt: codes.DataLoss, errs.Cancelled: codes.Canceled,
	errs.Changed: codes.Aborted,
}

func TestEveryKindRoundTrips(t *testing.T) {
	for kind := errs.Failed; kind <= errs.Changed; kind++ {
		for _, hint := range []string{"", "do this: then that"} {
			err := fmt.Errorf("restore a.example: %w", errs.New(kind, hint, "dial %s", "web1"))
			sent := wire.ToStatus(err)
			if got := status.Code(sent); got != kindCodes[kind] {
				t.Errorf("%v: code %v, want %v", kind, got, kindCodes[kind])
			}
			checkError(t, wire.FromStatus(sent), kind, "restore a.example: dial web1", hint)
			checkError(t, wire.FromStatus(wire.ToStatus(wire.FromStatus(sent))), kind, "restore a.example: dial web1", hint)
			checkError(t, wire.FromStatus(wire.ToStatus(sent)), kind, "restore a.example: dial web1", hint)
		}
	}
}

func checkError(t *testing.T, err error, kind errs.Kind, text, hint string) {
	t.Helper()
	var typed *errs.Error
	if !errors.As(err, &typed) {
		t.Fatalf("%v (%T) is no errs.Error", err, err)
	}
	if errs.KindOf(err) != kind || err.Error() != text || errs.HintOf(err) != hint {
		t.Errorf("got %v, %q, hint %q; want %v, %q, hint %q", errs.KindOf(err), err, errs.HintOf(err), kind, text, hint)
	}
}

func TestDetailsAreAsPublished(t *testing.T) {
	sent := wire.ToStatus(errs.New(errs.NotFound, "list them", "no site"))
	details := status.Convert(sent).Details()
	info, ok := details[0].(*errdetails.ErrorInfo)
	if len(details) != 1 || !ok || info.Reason != "not_found" || info.Domain != "sitekeep" || info.Metadata["hint"] != "list them" {
		t.Fatalf("details are %v", details)
	}
}

func TestStatusesWithoutOurDetails(t *testing.T) {
	rows := map[codes.Code]errs.Kind{
		codes.Unavailable: errs.Unreachable, codes.DeadlineExceeded: errs.Unreachable, codes.Canceled: errs.Cancelled,
		codes.Unauthenticated: errs.Permission, codes.PermissionDenied: errs.Permission, codes.NotFound: errs.NotFound,
		codes.InvalidArgument: errs.Usage, codes.OutOfRange: errs.Usage, codes.AlreadyExists: errs.Exists, codes.Aborted: errs.Busy,
		codes.FailedPrecondition: errs.Precondition, codes.DataLoss: errs.Corrupt, codes.Unknown: errs.Failed,
		codes.Internal: errs.Failed, codes.ResourceExhausted: errs.Failed, codes.Code(99): errs.Failed,
	}
	for code, kind := range rows {
		checkError(t, wire.FromStatus(status.Error(code, "text")), kind, "text", "")
	}
	unimplemented := wire.FromStatus(status.Error(codes.Unimplemented, "unknown method"))
	if !errs.Is(unimplemented, errs.Failed) || !strings.Contains(errs.HintOf(unimplemented), "same version") {
		t.Errorf("an unknown method gives %v, hint %q", unimplemented, errs.HintOf(unimplemented))
	}
	if !errors.Is(wire.FromStatus(status.Error(codes.Canceled, "x")), context.Canceled) ||
		!errors.Is(wire.FromStatus(status.Error(codes.DeadlineExceeded, "x")), context.DeadlineExceeded) {
		t.Error("the ends of contexts cannot be told")
	}
}

func TestForeignAndNewerDetails(t *testing.T) {
	foreign, err := status.New(codes.NotFound, "x").WithDetails(&errdetails.ErrorInfo{Reason: "busy", Domain: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	checkError(t, wire.FromStatus(foreign.Err()), errs.NotFound, "x", "")
	newer, err := status.New(codes.Aborted, "x").WithDetails(&errdetails.ErrorInfo{
		Reason: "kind_of_2040", Domain: "sitekeep", Metadata: map[string]string{"hint": "h"}})
	if err != nil {
		t.Fatal(err)
	}
	checkError(t, wire.FromStatus(newer.Err()), errs.Busy, "x", "h")
}

func TestWrappedStatusLosesItsPrefix(t *testing.T) {
	err := fmt.Errorf("agent web1: %w", status.Error(codes.Unavailable, "connection refused"))
	checkError(t, wire.FromStatus(err), errs.Unreachable, "agent web1: connection refused", "")
	checkError(t, wire.FromStatus(wire.ToStatus(err)), errs.Unreachable, "agent web1: connection refused", "")
	outer := errs.New(errs.Precondition, "", "plan: %w", wire.FromStatus(err))
	checkError(t, wire.FromStatus(wire.ToStatus(outer)), errs.Precondition, "plan: agent web1: connection refused", "")
}

func TestOtherErrorsStayAsTheyAre(t *testing.T) {
	plain, classified := errors.New("plain"), errs.New(errs.Busy, "", "x")
	for _, err := range []error{nil, io.EOF, plain, classified} {
		if got := wire.FromStatus(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	if wire.ToStatus(nil) != nil {
		t.Error("nil became an error")
	}
	checkError(t, wire.FromStatus(wire.ToStatus(plain)), errs.Failed, "plain", "")
	checkError(t, wire.FromStatus(wire.ToStatus(context.Canceled)), errs.Cancelled, "context canceled", "")
}

func TestTextsAreBoundedAndValid(t *testing.T) {
	for _, lead := range []string{"", "x"} { // one of them has a letter across the cut
		long := lead + strings.Repeat("é", 10000)
		st := status.Convert(wire.ToStatus(errs.New(errs.Failed, long, "%s", long)))
		info, _ := st.Details()[0].(*errdetails.ErrorInfo)
		if len(st.Message()) > 4096 || len(st.Message()) < 4000 || len(info.Metadata["hint"]) > 1024 || !utf8.ValidString(st.Message()) {
			t.Errorf("%d bytes of text, %d of hint: %q", len(st.Message()), len(info.Metadata["hint"]), st.Message()[4000:])
		}
	}
	checkError(t, wire.FromStatus(wire.ToStatus(errors.New("file \xff\xfe"))), errs.Failed, "file �", "")
}
