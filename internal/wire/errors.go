// Package wire is the only translator between Sitekeep's own terms and gRPC's:
// kinds of errors to statuses, frames to messages, and back. It refuses to know
// who calls whom, and what for.
package wire

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sitekeep/sitekeep/internal/errs"
)

const (
	// errorDomain marks the ErrorInfo details that are ours (google.rpc.ErrorInfo, google/rpc/error_details.proto).
	errorDomain = "sitekeep"
	hintKey     = "hint"

	// A status travels in the trailer of a response, which proxies and peers limit. The text goes there twice.
	maxErrorText = 4096
	maxHint      = 1024
)

// ToStatus turns an error into a gRPC status error: the kind becomes the code and, by its name, the reason of a
// google.rpc.ErrorInfo with the domain "sitekeep", whose metadata has the hint. The text is err.Error(), cut at 4 KiB.
// A status error that comes from another process is classified first, so that errors can be handed through.
// ToStatus(nil) is nil.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	err = FromStatus(err)
	kind := errs.KindOf(err)
	return newStatus(codeOf(kind), kind, err.Error(), errs.HintOf(err))
}

func newStatus(code codes.Code, kind errs.Kind, text, hint string) error {
	info := &errdetails.ErrorInfo{Reason: kind.String(), Domain: errorDomain}
	if hint != "" {
		info.Metadata = map[string]string{hintKey: bounded(hint, maxHint)}
	}
	st := status.New(code, bounded(text, maxErrorText))
	detailed, err := st.WithDetails(info)
	if err != nil { // only for codes.OK, which is never asked for
		return st.Err()
	}
	return detailed.Err()
}

// FromStatus turns a gRPC status error back into an *errs.Error with the kind, text and hint that ToStatus was given.
// A status without our details, such as one that the transport made, gets the kind that fits its code. Errors that
// hold no status (io.EOF among them), or were classified already, are returned as they are. FromStatus(nil) is nil.
func FromStatus(err error) error {
	var classified *errs.Error
	var remote interface {
		error
		GRPCStatus() *status.Status
	}
	if err == nil || errors.As(err, &classified) || !errors.As(err, &remote) {
		return err
	}
	st := remote.GRPCStatus()
	if st.Code() == codes.OK {
		return err
	}
	kind, hint := classify(st)
	// What was wrapped around the status stays; "rpc error: code = ..." goes.
	text := strings.Replace(err.Error(), remote.Error(), st.Message(), 1)
	return &errs.Error{Kind: kind, Hint: hint, Err: &remoteError{text: text, status: st}}
}

// remoteError keeps the status for those who log it.
type remoteError struct {
	text   string
	status *status.Status
}

func (e *remoteError) Error() string              { return e.text }
func (e *remoteError) GRPCStatus() *status.Status { return e.status }

// Is lets errors.Is find the ends of contexts, which gRPC reports as statuses.
func (e *remoteError) Is(target error) bool {
	switch e.status.Code() {
	case codes.Canceled:
		return target == context.Canceled
	case codes.DeadlineExceeded:
		return target == context.DeadlineExceeded
	}
	return false
}

func classify(st *status.Status) (errs.Kind, string) {
	for _, detail := range st.Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != errorDomain {
			continue
		}
		kind := errs.ParseKind(info.GetReason())
		if kind.String() != info.GetReason() { // a kind that only a newer peer knows
			kind, _ = kindOf(st.Code())
		}
		return kind, info.GetMetadata()[hintKey]
	}
	return kindOf(st.Code())
}

// Unimplemented reports whether the other side does not know the call: it is of another version.
func Unimplemented(err error) bool { return status.Code(err) == codes.Unimplemented }

func codeOf(kind errs.Kind) codes.Code {
	switch kind {
	case errs.Usage:
		return codes.InvalidArgument
	case errs.NotFound:
		return codes.NotFound
	case errs.Exists:
		return codes.AlreadyExists
	case errs.Busy, errs.Changed:
		return codes.Aborted
	case errs.Unreachable:
		return codes.Unavailable
	case errs.Permission:
		return codes.PermissionDenied
	case errs.Precondition:
		return codes.FailedPrecondition
	case errs.NoSpace:
		return codes.ResourceExhausted
	case errs.Corrupt:
		return codes.DataLoss
	case errs.Cancelled:
		return codes.Canceled
	}
	return codes.Unknown
}

// kindOf classifies a status that has no details of ours.
func kindOf(code codes.Code) (errs.Kind, string) {
	switch code {
	case codes.InvalidArgument, codes.OutOfRange:
		return errs.Usage, ""
	case codes.NotFound:
		return errs.NotFound, ""
	case codes.AlreadyExists:
		return errs.Exists, ""
	case codes.Aborted:
		return errs.Busy, ""
	case codes.Unavailable, codes.DeadlineExceeded:
		return errs.Unreachable, ""
	case codes.PermissionDenied, codes.Unauthenticated:
		return errs.Permission, ""
	case codes.FailedPrecondition:
		return errs.Precondition, ""
	case codes.DataLoss:
		return errs.Corrupt, ""
	case codes.Canceled:
		return errs.Cancelled, ""
	case codes.Unimplemented:
		return errs.Failed, "install the same version of Sitekeep on both sides"
	}
	// ResourceExhausted is here on purpose: without our details it is the library's own limit of a message's size.
	return errs.Failed, ""
}

// bounded makes text fit for a status: valid UTF-8, as protobuf demands, and at most limit bytes.
func bounded(text string, limit int) string {
	const mark = "..."
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	if len(text) <= limit {
		return text
	}
	cut := limit - len(mark)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + mark
}
