package link

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
)

// stopWait bounds a graceful stop: calls that are under way may end, and clean up.
const stopWait = 20 * time.Second

// ListenCredentials let the master alone in.
func ListenCredentials(live *pki.LiveIdentity) credentials.TransportCredentials {
	return credentials.NewTLS(pki.AgentServer(live, nil))
}

// ReverseCredentials are for a server behind Reverse, whose connections are TLS with the master already.
func ReverseCredentials() credentials.TransportCredentials { return insecure.NewCredentials() }

// Listen serves on an address until ctx ends, and then stops in good order.
// listening is called once when connections are accepted.
func Listen(ctx context.Context, address string, server *grpc.Server, listening func()) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return errs.New(errs.Failed, "end what else listens there, or join again with another --listen", "listen: %w", err)
	}
	listening()
	return serve(ctx, server, listener)
}

// serve serves until ctx ends; every connection and handler has ended when it returns.
func serve(ctx context.Context, server *grpc.Server, listener net.Listener) error {
	stopped := make(chan struct{})
	cancelled := context.AfterFunc(ctx, func() {
		defer close(stopped)
		stop(server)
	})
	err := server.Serve(listener)
	if !cancelled() {
		<-stopped
		return nil
	}
	server.Stop()
	return err
}

// stop lets calls end for a while and then cuts them off; their handlers clean up either way.
func stop(server *grpc.Server) {
	cut := time.AfterFunc(stopWait, server.Stop)
	defer cut.Stop()
	server.GracefulStop()
}
