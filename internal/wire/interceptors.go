package wire

import (
	"context"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// UnaryServerErrors translates what handlers return with ToStatus. A handler that panics ends its call with a Failed
// error that says nothing of the panic; the panic and its stack go to log alone. Put it first in the chain.
func UnaryServerErrors(log hclog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (reply any, err error) {
		defer func() {
			if p := recover(); p != nil {
				reply, err = nil, panicked(log, info.FullMethod, p)
			}
		}()
		reply, err = handler(ctx, req)
		return reply, ToStatus(err)
	}
}

// StreamServerErrors is UnaryServerErrors for streams. Handlers see errors of the stream itself as FromStatus gives them.
func StreamServerErrors(log hclog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = panicked(log, info.FullMethod, p)
			}
		}()
		return ToStatus(handler(srv, serverStream{stream}))
	}
}

// UnaryClientErrors translates what calls return with FromStatus. Put it first in the chain.
func UnaryClientErrors() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return FromStatus(invoke(ctx, method, req, reply, conn, opts...))
	}
}

// StreamClientErrors is UnaryClientErrors for streams: it translates errors of opening, sending, receiving and
// closing. io.EOF stays io.EOF.
func StreamClientErrors() grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		stream, err := open(ctx, desc, conn, method, opts...)
		if err != nil {
			return nil, FromStatus(err)
		}
		return clientStream{stream}, nil
	}
}

func panicked(log hclog.Logger, method string, p any) error {
	log.Error("handler panicked", "method", method, "panic", p, "stack", string(debug.Stack()))
	return newStatus(codes.Internal, errs.Failed, "internal error in "+method,
		"this is a bug: see the log of the program that answered, and report it")
}

type serverStream struct{ grpc.ServerStream }

func (s serverStream) SendMsg(m any) error { return FromStatus(s.ServerStream.SendMsg(m)) }
func (s serverStream) RecvMsg(m any) error { return FromStatus(s.ServerStream.RecvMsg(m)) }

type clientStream struct{ grpc.ClientStream }

func (s clientStream) SendMsg(m any) error { return FromStatus(s.ClientStream.SendMsg(m)) }
func (s clientStream) RecvMsg(m any) error { return FromStatus(s.ClientStream.RecvMsg(m)) }
func (s clientStream) CloseSend() error    { return FromStatus(s.ClientStream.CloseSend()) }
